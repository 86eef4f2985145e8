"""Chance as data: how long something takes, and which of several things happens. Drawn from a stream of the seed. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate
from math import exp, log
from typing import Any

from simulators import form
from simulators.form import FormError, key
from simulators.streams import Stream

_MS_MAX = 86_400_000
_NEEDED = {
    "fixed": ("ms",),
    "uniform": ("min_ms", "max_ms"),
    "normal": ("mean_ms", "sd_ms"),
    "lognormal": ("median_ms", "sigma"),
}


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something takes; never less than nothing."""

    model: str = key("fixed", "the distribution: `fixed` needs ms, `uniform` min_ms and max_ms, `normal` mean_ms and sd_ms, "
                     "`lognormal` median_ms and sigma", words=tuple(_NEEDED))  # fmt: skip
    ms: float = key(0.0, "fixed: this long", least=0, most=_MS_MAX)
    min_ms: float = key(0.0, "uniform: from", least=0, most=_MS_MAX)
    max_ms: float = key(0.0, "uniform: to; for the others a cap, 0 for none", least=0, most=_MS_MAX)
    mean_ms: float = key(0.0, "normal: the mean", least=0, most=_MS_MAX)
    sd_ms: float = key(0.0, "normal: the standard deviation", least=0, most=_MS_MAX)
    median_ms: float = key(0.0, "lognormal: half take longer", least=0, most=_MS_MAX)
    sigma: float = key(0.0, "lognormal: 0.5 is mild, 1.5 has a long tail", least=0, most=5)
    spike_percent: float = key(0.0, "how many take spike_ms on top, whatever the model", least=0, most=100)
    spike_ms: float = key(0.0, "how much longer these take", least=0, most=_MS_MAX)

    def check(self, where: str) -> None:
        """Raise FormError when the keys contradict each other."""
        if self.model == "uniform" and self.min_ms > self.max_ms:
            raise FormError(f"{where}.min_ms", "must not be over max_ms")
        if self.model == "lognormal" and not self.median_ms:
            raise FormError(f"{where}.median_ms", "lognormal needs one above 0")
        if bool(self.spike_percent) != bool(self.spike_ms):
            raise FormError(f"{where}.spike_ms", "spike_percent and spike_ms go together")

    def draw_s(self, numbers: Stream) -> float:
        """Seconds. A fixed latency without spikes draws nothing."""
        if self.model == "fixed":
            ms = self.ms
        elif self.model == "uniform":
            ms = self.min_ms + (self.max_ms - self.min_ms) * numbers.random()
        elif self.model == "normal":
            ms = numbers.gauss(self.mean_ms, self.sd_ms)
        else:
            ms = exp(numbers.gauss(log(self.median_ms), self.sigma))
        if self.max_ms:
            ms = min(ms, self.max_ms)
        if self.spike_percent and numbers.random() * 100 < self.spike_percent:
            ms += self.spike_ms
        return max(ms, 0.0) / 1000


def read_latency(value: object, where: str) -> Latency:
    """A latency: milliseconds, or a table that names a model."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return form.read(Latency, {"ms": value}, where)
    if isinstance(value, Mapping):
        _check_needed(value, where)
    return form.read(Latency, value, where)


def _check_needed(value: Mapping[str, object], where: str) -> None:
    model = value.get("model", "fixed")
    for name in _NEEDED.get(str(model), ()):
        if name not in value:
            raise FormError(f"{where}.{name}", f"model {model} needs it")
    others = {name for names in _NEEDED.values() for name in names} - set(_NEEDED.get(str(model), ())) - {"max_ms"}
    stray = next((name for name in value if name in others), None)
    if stray is not None and model in _NEEDED:
        raise FormError(f"{where}.{stray}", f"model {model} does not use it")


@dataclass(frozen=True, slots=True)
class Mix:
    """Words with weights; the weights need no particular sum."""

    weights: tuple[tuple[str, float], ...]

    def draw(self, numbers: Stream) -> str:
        """One of the words, as often as its weight says."""
        ends = list(accumulate(weight for _, weight in self.weights))
        place = bisect_right(ends, numbers.random() * ends[-1])
        return self.weights[min(place, len(ends) - 1)][0]


def mix_reader(check_word: Callable[[str, str], None]) -> form.Read:
    """Reads a mix whose words pass the check, which raises FormError."""

    def read(value: object, where: str) -> Mix:
        if not isinstance(value, Mapping) or not value:
            raise FormError(where, "expected a table of words with weights, such as { DELIVRD = 9, UNDELIV = 1 }")
        weights = []
        for word, weight in value.items():
            check_word(str(word), f"{where}.{word}")
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e9:
                raise FormError(f"{where}.{word}", "expected a weight from 0 to 1000000000")
            weights.append((str(word), float(weight)))
        if not sum(weight for _, weight in weights):
            raise FormError(where, "at least one weight must be above 0")
        return Mix(tuple(weights))

    return read


def mix_document(mix: Mix) -> dict[str, float]:
    """A mix as TOML and JSON write it."""
    return dict(mix.weights)


def latency_document(latency: Latency) -> dict[str, Any]:
    """A latency as TOML and JSON write it; keys its model needs are there even when they are 0."""
    needed = {name: getattr(latency, name) for name in _NEEDED[latency.model]}
    return form.document(latency) | needed


LATENCY_KEYS = tuple(each.name for each in fields(Latency))
