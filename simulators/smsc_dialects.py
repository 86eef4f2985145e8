"""How receipts are written by one carrier and another: the text's wording, where it stands, and which parameters come with it. Pure.

Written by hand and not by gateway.smpp.receipt, so that a mistake of the one can't hide in the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

PAYLOAD: Final = 0x0424


class Facts(NamedTuple):
    """What a receipt says. Dates are YYMMDDhhmm; `err` is three characters."""

    id: bytes
    submitted: bytes
    done: bytes
    stat: bytes
    err: bytes
    excerpt: bytes
    is_delivered: bool

    @property
    def dlvrd(self) -> bytes:
        return b"001" if self.is_delivered else b"000"


Words = Callable[[Facts], bytes]


def _plain(it: Facts) -> bytes:
    return b"id:%b sub:001 dlvrd:%b submit date:%b done date:%b stat:%b err:%b text:%b" % (
        it.id, it.dlvrd, it.submitted, it.done, it.stat, it.err, it.excerpt,
    )  # fmt: skip


def _short(it: Facts) -> bytes:
    return b"id:%b stat:%b err:%b" % (it.id, it.stat, it.err)


def _capitals(it: Facts) -> bytes:
    return b"ID:%b SUB:001 DLVRD:%b SUBMIT DATE:%b DONE DATE:%b STAT:%b ERR:%b TEXT:%b" % (
        it.id, it.dlvrd, it.submitted, it.done, it.stat, it.err, it.excerpt,
    )  # fmt: skip


def _seconds(it: Facts) -> bytes:
    return b"id:%b sub:1 dlvrd:%b submit date:%b00 done date:%b00 stat:%b err:%b Text:%b" % (
        it.id, it.dlvrd[2:], it.submitted, it.done, it.stat, it.err, it.excerpt,
    )  # fmt: skip


def _underscores(it: Facts) -> bytes:
    return b"id:%b submit_date:%b done_date:%b stat:%b error:%b" % (it.id, it.submitted, it.done, it.stat, it.err)


_LONG_WORDS = {b"DELIVRD": b"DELIVERED", b"UNDELIV": b"UNDELIVERABLE", b"REJECTD": b"REJECTED", b"ACCEPTD": b"ACCEPTED"}


def _long(it: Facts) -> bytes:
    return _plain(it._replace(stat=_LONG_WORDS.get(it.stat, it.stat)))


def _hexadecimal_err(it: Facts) -> bytes:
    return _plain(it._replace(err=b"%X" % int(it.err) if it.err.isdigit() else it.err))


def _reordered(it: Facts) -> bytes:
    return b"stat:%b err:%b id:%b done date:%b submit date:%b" % (it.stat, it.err, it.id, it.done, it.submitted)


def _status_only(it: Facts) -> bytes:
    return b"Your message was %b" % _LONG_WORDS.get(it.stat, it.stat).lower()


class Dialect(NamedTuple):
    """One way to write a receipt; `tlvs` are those of: id, state, error."""

    means: str
    words: Words | None = _plain
    tlvs: frozenset[str] = frozenset({"id", "state", "error"})
    is_payload: bool = False
    esm_class: int = 0x04
    is_ucs2: bool = False
    vendor: tuple[tuple[int, bytes], ...] = ()


_NONE: Final[frozenset[str]] = frozenset()
DIALECTS: Final[dict[str, Dialect]] = {
    "plain": Dialect("the text of appendix B, and the TLVs 0x001E, 0x0427, 0x0423 that say the same"),
    "text-only": Dialect("the text, no TLVs", tlvs=_NONE),
    "tlv-only": Dialect("the TLVs, an empty text", words=None),
    "tlv-id-text": Dialect("a sentence for people; the id and the state only in TLVs", words=_status_only),
    "payload": Dialect("the text stands in message_payload, short_message is empty", is_payload=True),
    "payload-only": Dialect("the same without the other TLVs", is_payload=True, tlvs=_NONE),
    "untyped": Dialect("esm_class 0: only the text tells that it is a receipt", tlvs=_NONE, esm_class=0),
    "short": Dialect("id, stat and err, nothing else", words=_short, tlvs=_NONE),
    "capitals": Dialect("keys in capitals", words=_capitals, tlvs=_NONE),
    "seconds": Dialect("dates of 12 digits, `Text:`, counts of one digit", words=_seconds, tlvs=_NONE),
    "underscores": Dialect("submit_date, done_date, error", words=_underscores, tlvs=_NONE),
    "long-stat": Dialect("DELIVERED, UNDELIVERABLE, REJECTED, ACCEPTED", words=_long, tlvs=_NONE),
    "hex-err": Dialect("err in hexadecimal without zeros in front", words=_hexadecimal_err, tlvs=_NONE),
    "reordered": Dialect("stat first, id in the middle", words=_reordered, tlvs=_NONE),
    "ucs2": Dialect("the text in UCS-2, data_coding 8", tlvs=_NONE, is_ucs2=True),
    "vendor": Dialect("with a TLV of the vendor's own (0x1403)", vendor=((0x1403, b"310150\0"),)),
}


def body_of(dialect: Dialect, facts: Facts) -> bytes:
    """The text of a receipt as this dialect writes it."""
    text = b"" if dialect.words is None else dialect.words(facts)
    return text.decode("latin-1").encode("utf-16-be") if dialect.is_ucs2 else text
