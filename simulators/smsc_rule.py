"""One rule of the SMSC simulator: which messages it meets and what happens to them; as a value, in TOML and in JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from gateway.smpp.consts import MessageState, Status
from simulators import form
from simulators.form import FormError, key
from simulators.smsc_chance import Latency, Mix, latency_document, mix_document, mix_reader, read_latency
from simulators.smsc_dialects import DIALECTS
from simulators.smsc_ids import IdForm

# How each outcome is spelt in a receipt's `stat` (SMPP 3.4 appendix B).
STATES: dict[str, MessageState] = {
    "DELIVRD": MessageState.DELIVERED,
    "EXPIRED": MessageState.EXPIRED,
    "DELETED": MessageState.DELETED,
    "UNDELIV": MessageState.UNDELIVERABLE,
    "ACCEPTD": MessageState.ACCEPTED,
    "UNKNOWN": MessageState.UNKNOWN,
    "REJECTD": MessageState.REJECTED,
}
ENROUTE = "ENROUTE"
NO_RECEIPT = "none"
RULES_MAX = 1_000
DELAY_MS_MAX = 86_400_000
SECONDS_MAX = 864_000

# What is done to the octets of a response; all but the first mean that the gateway can't take it for the answer it waits for.
FAULTS: Final = ("", "long", "short", "unknown-id", "wrong-sequence", "twice", "garbage", "truncated")
WRITES: Final = ("whole", "split", "drip")
THENS: Final = ("", "unbind", "reset", "close", "mute")
SCOPES: Final = ("smsc", "destination", "sender", "bind")


def read_status(value: object, where: str) -> int:
    """A command_status: its number or its name. Raises FormError."""
    if isinstance(value, str):
        if value not in Status.__members__:
            raise FormError(where, f"{value} is no command_status; write a name such as ESME_RTHROTTLED, or a number")
        return Status[value].value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
        raise FormError(where, "expected the name of a command_status, or a number from 0 to 4294967295")
    return value


def status_of(word: str) -> int:
    """The status a word of a mix stands for: a name, a decimal number or 0x and hexadecimal digits."""
    return Status[word].value if word in Status.__members__ else int(word, 0)


def _check_status(word: str, where: str) -> None:
    try:
        read_status(word if word.startswith("ESME") else int(word, 0), where)
    except ValueError:
        raise FormError(where, f"{word} is no command_status") from None


def _check_stats(word: str, where: str) -> None:
    if word == NO_RECEIPT:
        return
    for stat in word.split("+"):
        if stat not in STATES and stat != ENROUTE:
            raise FormError(where, f"{stat}: one of {', '.join(STATES)}, {ENROUTE} or none; several in a row with +")


def _read_form(value: object, where: str) -> IdForm | None:
    if value not in ("", *IdForm):
        raise FormError(where, f"one of {', '.join(IdForm)}")
    return IdForm(str(value)) if value else None


def _read_err(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) != 3 or not value.isascii() or not value.isalnum():
        raise FormError(where, "three letters or digits")
    return value


_LATENCY: Final[dict[str, Any]] = {"read": read_latency, "write": latency_document, "shown": "ms, or a latency"}
_ID_FORM: Final[dict[str, Any]] = {"read": _read_form, "shown": ", ".join(f"`{word}`" for word in IdForm)}


@dataclass(frozen=True, slots=True)
class Rule:
    """Whom a rule meets (all given patterns must match) and what happens then; 0, "" and the defaults mean "as usual"."""

    prefix: str = key("", "meets: destinations that begin so")
    suffix: str = key("", "meets: destinations that end so; the quickest pattern")
    destination: str = key("", "meets: destinations of this shape; `*` is anything, `?` one character, `[0-4]` one of these")
    source: str = key("", "meets: this sender exactly")
    sender: str = key("", "meets: senders of this shape, with `*`, `?` and `[…]`")
    system_id: str = key("", "meets: what binds with a system_id of this shape sent")
    contains: str = key("", "meets: texts that hold this")
    hash_mod: int = key(0, "meets: bodies whose SHA-256, as a number, leaves hash_is when divided by this", least=0, most=1_000_000)
    hash_is: int = key(0, "the remainder that goes with hash_mod", least=0, most=999_999)
    every: int = key(0, "meets: each Nth message that matches otherwise, counted for each bind", least=0, most=1_000_000_000)
    percent: float = key(100.0, "meets: this many of the messages that match otherwise, drawn from the seed", least=0, most=100)
    times: int = key(0, "meets: the same message (source, destination, body) so often, 0 always", least=0)
    above_per_s: int = key(0, "meets: what comes above so many a second; what it meets does not count", least=0, most=1_000_000)
    per: str = key("smsc", "what above_per_s counts by itself", words=SCOPES)
    from_s: float = key(0.0, "meets: from this second of the scenario on", least=0, most=SECONDS_MAX)
    for_s: float = key(0.0, "meets: for so many seconds, 0 to the end", least=0, most=SECONDS_MAX)

    status: int = key(0, "refuse with this command_status", read=read_status, shown="a name or a number")
    statuses: Mix | None = key(
        None, "refuse by chance: statuses with weights, ESME_ROK among them", read=mix_reader(_check_status), write=mix_document,
        shown="`{ ESME_ROK = 9, ESME_RSYSERR = 1 }`",
    )  # fmt: skip
    stat: str = key("DELIVRD", "the receipt's stat, and what becomes of the message", words=tuple(STATES))
    stats: Mix | None = key(
        None, "stats by chance, with weights; `A+B` sends one receipt after the other, `none` sends none", read=mix_reader(_check_stats),
        write=mix_document, shown='`{ DELIVRD = 90, UNDELIV = 5, "ACCEPTD+DELIVRD" = 3, none = 2 }`',
    )  # fmt: skip
    err: str = key("000", "the receipt's err", read=_read_err, shown="three letters or digits")
    response: bool = key(True, "whether submit_sm is answered at all")
    response_delay_ms: int = key(0, "from submit_sm to its response", least=0, most=DELAY_MS_MAX)
    response_latency: Latency | None = key(None, "the same by a model", **_LATENCY)
    receipt: bool = key(True, "whether there is a receipt")
    receipts: int = key(1, "how often each receipt comes", least=0, most=10)
    receipt_first: bool = key(False, "the receipt comes before the response")
    receipt_delay_ms: int = key(0, "from submit_sm to delivery and receipt", least=0, most=DELAY_MS_MAX)
    receipt_latency: Latency | None = key(None, "the same by a model", **_LATENCY)
    receipt_gap_ms: int = key(0, "between the receipts of one message", least=0, most=DELAY_MS_MAX)
    receipt_bind: str = key("same", "which bind gets the receipt: the one that sent the message, or another of its system_id",
                            words=("same", "other"))  # fmt: skip
    receipt_shuffle: int = key(0, "gather so many receipts (for 1 s at most) and send them in another order", least=0, most=1_000)
    dialect: str = key("plain", "how receipts are written", words=tuple(DIALECTS))
    id_form: IdForm | None = key(None, "how the response writes the message id", **_ID_FORM)
    receipt_id_form: IdForm | None = key(None, "how the receipt writes it", **_ID_FORM)
    congestion: int = key(-1, "congestion_state (0x0428) in the response, -1 for none", least=-1, most=255)
    congestion_full_per_s: int = key(0, "congestion_state by load: 100 at so many messages a second", least=0, most=1_000_000)
    fault: str = key("", "spoil the response's octets", words=FAULTS)
    write: str = key("whole", "write the response whole, byte by byte at once (`split`), or a byte each drip_ms (`drip`)", words=WRITES)
    drip_ms: int = key(20, "between two bytes of a dripped response", least=1, most=60_000)
    then: str = key("", "after the response: unbind, reset the connection, close it, or fall silent for good (mute)", words=THENS)
    note: str = key("", "shown on the page")

    def check(self, where: str) -> None:
        """Raise FormError when keys contradict each other."""
        if self.hash_is and self.hash_is >= self.hash_mod:
            raise FormError(f"{where}.hash_is" if where else "hash_is", "must be below hash_mod")

    def is_at(self, now_s: float) -> bool:
        """Whether its window of time is open, `now_s` after the start of the scenario."""
        return self.from_s <= now_s and (not self.for_s or now_s < self.from_s + self.for_s)


NO_RULE = Rule()
PATTERNS = frozenset({
    "prefix", "suffix", "destination", "source", "sender", "system_id", "contains", "hash_mod", "hash_is", "every", "percent", "times",
    "above_per_s", "per", "from_s", "for_s", "note",
})  # fmt: skip
EFFECTS = tuple(each.name for each in fields(Rule) if each.name not in PATTERNS)


def parse_rule(value: object, where: str = "") -> Rule:
    """A rule from TOML or JSON. Raises FormError, which names the key."""
    return form.read(Rule, value, where)


def parse_rules(value: object) -> tuple[Rule, ...]:
    """One rule or a list of them."""
    if isinstance(value, list):
        return tuple(parse_rule(each, f"[{place}]" if len(value) > 1 else "") for place, each in enumerate(value))
    return (parse_rule(value),)


def rule_document(rule: Rule) -> dict[str, Any]:
    """A rule as JSON: only what it changes."""
    return form.document(rule)


def with_usual(rule: Rule, usual: Rule) -> Rule:
    """A rule whose effects are completed by the usual ones; an effect at its default counts as not given."""
    values = {each.name: getattr(rule, each.name) for each in fields(Rule)}
    for name in EFFECTS:
        if values[name] == getattr(NO_RULE, name):
            values[name] = getattr(usual, name)
    if rule.status:
        values["statuses"] = None
    if rule.stat != NO_RULE.stat:
        values["stats"] = None
    return Rule(**values)
