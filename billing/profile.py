"""Export profiles: which columns in which form, masked or not, and where a file ends and the next begins."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from billing import cdr
from billing.errors import ExportError

EXTENSIONS = {"csv": "csv", "jsonl": "jsonl", "framed-csv": "txt", "fixed": "dat", "parquet": "parquet", "xlsx": "xlsx", "ber": "ber"}
MASKS = ("none", "last4", "hmac")
# Files whose bytes are made as a whole, or are compressed already: they end by count only.
_WHOLE = ("parquet", "xlsx")
# These are made in memory.
_RECORDS_MAX = {"xlsx": 200_000, "ber": 100_000}
BYTES_MIN = 4_096
WIDTH_MAX = 400
_WIDTH = re.compile(r"([a-z0-9_]+):([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True)
class Profile:
    """How a file is made; `widths` are those of `columns` in a fixed-width file. 0 means no limit."""

    name: str = "charge"
    flavour: str = "csv"
    columns: tuple[str, ...] = cdr.COLUMNS
    widths: tuple[int, ...] = ()
    mask: str = "none"
    mask_key: str = ""  # the fingerprint of the key, never the key
    is_spreadsheet: bool = False
    has_bom: bool = False
    records_max: int = 0
    bytes_max: int = 0
    is_gzip: bool = False

    @property
    def extension(self) -> str:
        """What stands behind the stem of its files."""
        return EXTENSIONS[self.flavour] + (".gz" if self.is_gzip else "")

    @property
    def version(self) -> str:
        """Changes with anything that changes the bytes of a file."""
        return hashlib.sha256(self.spec().encode()).hexdigest()[:12]

    def spec(self) -> str:
        """The profile as text, kept with each run."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


def from_spec(spec: str) -> Profile:
    """Read what `Profile.spec` wrote."""
    fields: dict[str, Any] = json.loads(spec)
    for name in ("columns", "widths"):
        if name in fields:
            fields[name] = tuple(fields[name])
    return replace(Profile(), **fields)


def checked(profile: Profile) -> Profile:
    """The profile, when it can be written; raises ExportError that names the key to change."""
    _check_columns(profile)
    flavour = profile.flavour
    _refuse(profile, flavour not in EXTENSIONS, "flavour", f"{flavour!r} is none of {', '.join(EXTENSIONS)}")
    _refuse(profile, profile.mask not in MASKS, "mask", f"{profile.mask!r} is none of {', '.join(MASKS)}")
    _refuse(profile, flavour == "fixed" and not profile.widths, "columns", "a fixed-width file needs widths, as in charge_id:20")
    _refuse(profile, flavour != "fixed" and bool(profile.widths), "columns", f"{flavour} files have no widths; leave out :N")
    for key, is_set in (("bom", profile.has_bom), ("spreadsheet", profile.is_spreadsheet)):
        _refuse(profile, is_set and flavour != "csv", key, f"only csv files have it, not {flavour}")
    _refuse(profile, profile.is_gzip and flavour in _WHOLE, "gzip", f"{flavour} files are compressed already")
    _refuse(profile, bool(profile.bytes_max) and flavour in _WHOLE, "bytes_max", f"{flavour} files end by records_max only")
    too_small = 0 < profile.bytes_max < BYTES_MIN
    _refuse(profile, too_small, "bytes_max", f"at least {BYTES_MIN}, or 0 for no limit")
    if flavour == "ber":
        _refuse(profile, profile.columns != cdr.COLUMNS, "columns", "the record of ber files is given by its standard; leave them out")
        _refuse(profile, profile.mask != "none", "mask", "ber files hold digits: none only")
    limit = _RECORDS_MAX.get(flavour, 0)
    _refuse(profile, 0 < limit < profile.records_max, "records_max", f"at most {limit} in a file of {flavour}")
    return replace(profile, records_max=profile.records_max or limit)


def columns_from(typed: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Columns, and their widths where they are given as `name:width`; no columns: all."""
    if not typed:
        return cdr.COLUMNS, ()
    if not any(":" in each for each in typed):
        return typed, ()
    matches = [_WIDTH.fullmatch(each) for each in typed]
    for each, match in zip(typed, matches, strict=True):
        if match is None or not 0 < int(match[2]) <= WIDTH_MAX:
            raise ExportError(f"columns: {each[:40]!r}: give every column a width of 1 to {WIDTH_MAX}, as in charge_id:20, or none")
    found = [match for match in matches if match is not None]
    return tuple(match[1] for match in found), tuple(int(match[2]) for match in found)


def _check_columns(profile: Profile) -> None:
    _refuse(profile, not profile.columns, "columns", "a file needs at least one")
    for name in profile.columns:
        _refuse(profile, name not in cdr.COLUMNS, "columns", f"{name[:40]!r} is no column of {cdr.SCHEMA}")
    _refuse(profile, len(set(profile.columns)) != len(profile.columns), "columns", "each only once")
    _refuse(profile, bool(profile.widths) and len(profile.widths) != len(profile.columns), "columns", "every column needs a width")


def _refuse(profile: Profile, is_wrong: bool, key: str, what: str) -> None:
    if is_wrong:
        raise ExportError(f"profile {profile.name}, {key}: {what}")
