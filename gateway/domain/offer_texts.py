"""What subscribers are told, in Chinese and English; an installation may say it in its own words.

A template may name {title}, {price}, {cycle}, {keyword}, {stop}, {code} and {days}; nothing else, and no attribute of these.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import NamedTuple

NAMES = ("title", "price", "cycle", "keyword", "stop", "code", "days")
CHARS_MAX = 500
CYCLES = {"zh": {"month": "月", "day": "天"}, "en": {"month": "month", "day": "day"}}

_ZH = {
    "confirm": "您点播了{title}，资费{price}/{cycle}。回复 Y 确认订购，不回复则不订购。",
    "confirm_again": "请再次确认：{title}，{price}/{cycle}。回复 Y 完成订购。",
    "welcome": "您已订购{title}，{price}/{cycle}。退订回复 {stop} {keyword}，全部退订回复 0000。",
    "trial": "您已订购{title}，免费试用{days}天，之后{price}/{cycle}。退订回复 {stop} {keyword}。",
    "reminder": "您订购的{title}即将扣费{price}/{cycle}。退订回复 {stop} {keyword}。",
    "suspended": "{title}扣费未成功，服务已暂停，下个周期再次扣费。",
    "cleared": "{title}连续扣费未成功，已为您取消，不再扣费。",
    "cancelled": "您已退订{title}，不再扣费。",
    "ended": "您订购的{title}已由客服取消，不再扣费。",
    "charged": "{title}：{price}/{cycle}。退订回复 {stop} {keyword}。",
    "already": "您已订购{title}，{price}/{cycle}。退订回复 {stop} {keyword}。",
    "nothing": "您没有订购{title}。",
    "none": "您在{code}没有订购任何服务。",
    "listed": "您订购了：{title}。全部退订回复 0000。",
    "all_cancelled": "已全部退订：{title}，不再扣费。",
}
_EN = {
    "confirm": "You asked for {title} at {price} a {cycle}. Reply Y to confirm; without it nothing is ordered.",
    "confirm_again": "Please confirm once more: {title}, {price} a {cycle}. Reply Y to complete your order.",
    "welcome": "You have {title} at {price} a {cycle}. Send {stop} {keyword} to end it, 0000 to end all.",
    "trial": "You have {title}, free for {days} days, then {price} a {cycle}. Send {stop} {keyword} to end it.",
    "reminder": "{title} will be charged soon: {price} a {cycle}. Send {stop} {keyword} to end it.",
    "suspended": "{title} could not be charged and is paused until the next try.",
    "cleared": "{title} could not be charged again and has ended. Nothing more will be charged.",
    "cancelled": "{title} has ended. Nothing more will be charged.",
    "ended": "{title} was ended for you. Nothing more will be charged.",
    "charged": "{title}: {price} a {cycle}. Send {stop} {keyword} to end it.",
    "already": "You have {title} already, at {price} a {cycle}. Send {stop} {keyword} to end it.",
    "nothing": "You have no subscription to {title}.",
    "none": "You have no subscription at {code}.",
    "listed": "You have: {title}. Send 0000 to end all.",
    "all_cancelled": "All ended: {title}. Nothing more will be charged.",
}
KINDS = tuple(_EN)
# Nobody waits for these: one's own text for them may be empty, and nothing is sent.
SILENCEABLE = frozenset({"ended"})
_LANGUAGES = {"zh": (("zh", _ZH),), "en": (("en", _EN),), "both": (("en", _EN), ("zh", _ZH))}


class Wording(NamedTuple):
    """How one offer speaks: in `language`, but for the kinds of text that have words of their own."""

    language: str
    title: str
    price: str
    cycle: str  # month or day
    keyword: str
    stop: str
    code: str
    days: int
    own: Mapping[str, str]

    def text(self, kind: str, title: str = "") -> str:
        """What to say; `title` where it is of several offers."""
        facts = {**self._asdict(), "title": title or self.title}
        if kind in self.own:
            language = "zh" if self.language == "zh" else "en"
            return self.own[kind].format_map(facts | {"cycle": CYCLES[language][self.cycle]})
        return " / ".join(
            templates[kind].format_map(facts | {"cycle": CYCLES[language][self.cycle]}) for language, templates in _LANGUAGES[self.language]
        )


def fault_of(template: str) -> str | None:
    """What is wrong with a template of one's own, None for nothing."""
    if not 0 < len(template) <= CHARS_MAX:
        return f"has 1 to {CHARS_MAX} characters"
    try:
        fields = [name for _, name, spec, conversion in string.Formatter().parse(template) if name is not None or spec or conversion]
    except ValueError as error:
        return str(error)
    unknown = [name for name in fields if name not in NAMES]
    return f"may name {', '.join(f'{{{name}}}' for name in NAMES)} only, not {{{unknown[0]}}}" if unknown else None
