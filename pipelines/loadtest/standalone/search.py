"""Finds the highest rate that holds a latency target: pure but for the probes that it is given.

On a noisy machine, probes also fail by chance: a rate fails only after three failed probes, and passes with the
first that holds. A longer, new run confirms the rate that was found; more such runs raise it as long as there is time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pipelines.loadtest.standalone.queueing import typical_seed, utilisation_for
from pipelines.results import CurvePoint

TRIES = 3
STEP = 1.03
"""First step away from the guess; doubled (in logarithms) while the bracket is open at one side."""
CLOSE = 1.016
"""The bracket is close enough when its ends are within this factor."""
MARGIN = 1.01
"""A rate that held in one probe of three may be a little too high for a longer run, and is divided by this."""
OVERLOADED = 0.95
"""A server that answers less than this share of the offered requests shows its capacity."""
MAX_RATES = 40
PROBE_S = 4.0
CONFIRM_S = 8.0
MAX_SPOILT = 6
BESIDE_S = 1.0
"""A probe takes at least this much longer, to start and end the generator. If it takes more, the last probe tells."""
TOO_HIGH = "the lowest rate that the budget allows to measure misses the target: raise --budget or --p99-target-ms"
NOT_CONFIRMED = "the budget left no time for the longer run that confirms the rate: raise --budget"
NONE_HELD = "the budget was over before a rate held the target: raise --budget"
FEWEST = 700
"""Requests of a probe: 1.5 times as many as the 99th percentile needs."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One run at a rate: ``p99_ms`` is None where no p99 may be claimed; ``spoilt`` means by the generator's fault."""

    rate_per_s: float
    answered_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    reason: str | None = None
    spoilt: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search. ``rate_per_s`` is None if not even the lowest rate held the target.

    ``bracket`` holds the highest rate that held and the lowest that failed (None if none did). ``confirmed`` is
    the longer run's verdict; ``complete`` says whether the time sufficed.
    """

    target_ms: float
    rate_per_s: float | None
    confirmed: bool
    complete: bool
    bracket: tuple[float | None, float | None]
    capacity_per_s: float
    seconds: float
    probes: tuple[Trial, ...]
    note: str
    interrupted: bool = False

    def curve(self) -> tuple[CurvePoint, ...]:
        """One point per rate: its best probe. One that held the target is better than any that was disqualified."""
        best: dict[float, Trial] = {}
        for probe in sorted(self.probes, key=self._worth):
            best.setdefault(probe.rate_per_s, probe)
        return tuple(
            CurvePoint(one.rate_per_s, one.answered_per_s, one.p50_ms, one.p99_ms, _holds(one, self.target_ms))
            for _, one in sorted(best.items())
        )

    def _worth(self, probe: Trial) -> tuple[bool, float]:
        return not _holds(probe, self.target_ms), float("inf") if probe.p99_ms is None else probe.p99_ms


def _holds(probe: Trial, target_ms: float) -> bool:
    return probe.reason is None and probe.p99_ms is not None and probe.p99_ms <= target_ms


@dataclass(slots=True)
class Search:
    """A running search. ``probe(rate, seconds, seed)`` offers a rate; ``capacity_per_s`` is a closed loop's rate."""

    probe: Callable[[float, float, int], Trial]
    target_ms: float
    capacity_per_s: float
    budget_s: float
    max_rate_per_s: float
    seed: int = 0
    clock: Callable[[], float] = time.monotonic
    probes: list[Trial] = field(default_factory=list)
    began: float = 0.0
    _spoilt: int = 0
    _beside_s: float = BESIDE_S

    def run(self, spent_s: float = 0.0) -> SearchResult:
        """Searches until the bracket is close, or the time is over (``budget_s``, with ``spent_s`` already used)."""
        self.began = self.clock() - spent_s
        low: float | None = None
        high: float | None = None
        rate, step = self._guess(), STEP
        for _ in range(MAX_RATES):
            # A decision may take three probes, and the rate must still be confirmed.
            if low and self._left() < TRIES * self._cost(rate, PROBE_S) + 2 * self._cost(rate, CONFIRM_S):
                break
            if self._left() < self._cost(rate, PROBE_S):
                break
            if self._passes(rate, PROBE_S):
                low = rate
            else:
                high = rate
            if low and high and high / low <= CLOSE:
                break
            if low and low >= self.max_rate_per_s:
                break
            if low and high:
                rate = self._between(low, high)
            else:
                rate = min(low * step, self.max_rate_per_s) if low else min(rate / step, self._guess())
                step = step**2 if step < 2 else step
            if rate * self.budget_s < FEWEST:
                return self._found(None, False, True, low, high, TOO_HIGH)
        complete = bool(low and ((high and high / low <= CLOSE) or low >= self.max_rate_per_s))
        return self._confirmed(low, high, complete)

    def _between(self, low: float, high: float) -> float:
        """Returns where a line (in logarithms) meets the target, but not too near to the rates that are known."""
        held = [one.p99_ms for one in self.probes if one.rate_per_s == low and _holds(one, self.target_ms)]
        failed = [one.p99_ms for one in self.probes if one.rate_per_s == high and one.p99_ms]
        share = 0.5
        if held and failed and held[-1] and (rise := math.log(sorted(failed)[len(failed) // 2] / held[-1])) > 0:
            share = math.log(self.target_ms / held[-1]) / rise
        return float(low * (high / low) ** min(max(share, 0.3), 0.7))

    def _fitted(self, low: float) -> float:
        """Returns where the line through all nearby probes meets the target: the best of three probes flatters a rate.

        At most ``low``, at most 5 % below it; ``low`` itself if no line rises.
        """
        nearby = [one for one in self.probes if 0.85 < one.rate_per_s / low < 1.15]
        near = [(one.rate_per_s, one.p99_ms) for one in nearby if one.p99_ms]
        if len({rate for rate, _ in near}) < 2:
            return low
        x = [math.log(rate / low) for rate, _ in near]
        y = [math.log(p99 / self.target_ms) for _, p99 in near]
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
        if slope <= 0:
            return low
        return low * math.exp(min(0.0, max(-0.05, mean_x - mean_y / slope)))

    def so_far(self) -> SearchResult:
        """Returns the result of an interrupted search."""
        held = [one.rate_per_s for one in self.probes if _holds(one, self.target_ms)]
        best = max(held, default=None)
        return replace(self._found(best, False, False, best, None, "interrupted"), interrupted=True)

    def _guess(self) -> float:
        """Returns the rate at which a queue with one worker of this capacity would meet the target."""
        services = self.target_ms / 1e3 * self.capacity_per_s
        guess = self.capacity_per_s * utilisation_for(services) if services > 1 else 0.5 * self.capacity_per_s
        return min(max(guess, FEWEST / self.budget_s), self.max_rate_per_s)

    def _confirmed(self, low: float | None, high: float | None, complete: bool) -> SearchResult:
        if low is None:
            return self._found(None, False, complete, low, high, NONE_HELD)
        rate = self._fitted(low) / MARGIN if low < self.max_rate_per_s else low
        for _ in range(TRIES):
            if self._left() < self._cost(rate, CONFIRM_S):
                return self._found(rate, False, complete, low, high, NOT_CONFIRMED)
            if self._passes(rate, CONFIRM_S):
                rate, high = self._raised(rate, high)
                note = "at the highest rate that may be offered" if rate >= self.max_rate_per_s else ""
                return self._found(rate, True, complete, rate, high, note)
            high, rate = rate, rate / CLOSE
        return self._found(rate, False, complete, None, high, "longer runs missed the target")

    def _raised(self, rate: float, high: float | None) -> tuple[float, float | None]:
        """Uses the time that is left for longer runs between a confirmed rate and the lowest that failed.

        One probe that met a stall bends the line that gives the confirmed rate, always downwards. This
        corrects about half of the simulated searches that meet stalls and end more than 3 % too low.
        """
        while high and high / rate > CLOSE and self._left() >= self._cost(rate, CONFIRM_S):
            middle = math.sqrt(rate * high)
            if self._passes(middle, CONFIRM_S):
                rate = middle
            elif self._left() < self._cost(middle, CONFIRM_S):
                break  # perhaps after fewer than three tries
            else:
                high = middle
        return rate, high

    def _passes(self, rate: float, seconds: float) -> bool:
        """Tells whether one of three probes holds the target; spoilt ones do not count, and are few."""
        seconds = max(seconds, FEWEST / rate)
        tries = 0
        while tries < TRIES and (tries == 0 or self._left() > self._cost(rate, seconds)):
            seed = typical_seed(rate, seconds, self.capacity_per_s, self.seed + 1_000 * (len(self.probes) + 1))
            begun = self.clock()
            found = self.probe(rate, seconds, seed)
            self._beside_s = max(BESIDE_S, self.clock() - begun - seconds)
            self.probes.append(found)
            if found.spoilt and self._spoilt < MAX_SPOILT:
                self._spoilt += 1
                continue
            if _holds(found, self.target_ms):
                return True
            tries += 1
        answered = max((one.answered_per_s for one in self.probes[-TRIES:] if one.rate_per_s == rate), default=rate)
        if tries == TRIES and 0 < answered < OVERLOADED * rate:  # the best of three: one may have met a stall
            self.capacity_per_s = min(self.capacity_per_s, answered)
        return False

    def _cost(self, rate: float, seconds: float) -> float:
        return max(seconds, FEWEST / rate) + self._beside_s

    def _left(self) -> float:
        return self.budget_s - (self.clock() - self.began)

    def _found(
        self, rate: float | None, confirmed: bool, complete: bool, low: float | None, high: float | None, note: str
    ) -> SearchResult:
        return SearchResult(
            self.target_ms,
            rate,
            confirmed,
            complete,
            (low, high),
            self.capacity_per_s,
            self.clock() - self.began,
            tuple(self.probes),
            note,
        )
