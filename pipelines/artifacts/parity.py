"""Compares outputs with the reference's: pure numpy.

Outputs are arrays with one row a sample: raw scores (logits) of classes, vectors, or plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.task import Task
from pipelines.paths import Arrays, Tolerance
from pipelines.results import Certificate, Flip, Parity

BATCHES = (1, 2, 3, 5, 8, 16)
PROBE_ROWS = sum(BATCHES)
MAX_FLIPS = 50
MOST_MARGIN = 6.0
"""A class may change where the reference leads by up to so many root mean squares of the differences.

The error of a lead is that of two values, 1.4 root mean squares, so that this is 4.2 of its standard deviations. Seen
in quantised networks: 0.2 to 3.7 (EfficientNet-Lite0, 75 photographs), 0.3 (mnist_cnn, one seed, 1,000 digits).
"""
FARTHEST = float(np.finfo(np.float32).max)

SetName = Literal["evaluation", "random"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One call and the reference's answer: inputs and outputs by name; ``first`` is its first row.

    ``spare`` tells that all batch sizes have been asked before, with other rows.
    """

    set: SetName
    batch: int
    first: int
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    spare: bool = False


def chunks(rows: int, sizes: Iterable[int]) -> Iterator[slice]:
    """Yield consecutive slices of these sizes, from the first row again after the last; none larger than ``rows``."""
    start = 0
    for size in sizes:
        if size > rows:
            continue
        if start + size > rows:
            start = 0
        yield slice(start, start + size)
        start += size


@dataclass(frozen=True, slots=True)
class Compared:
    """One call's differences: ``difference`` holds |received - expected| of every value, ``signal`` its squares' sum.

    ``max_rel`` is relative to the reference's largest magnitude in the row, because the ratio of single
    values means nothing near zero. ``agree`` tells for each row if its class is the reference's; None without classes.
    ``margin`` is the largest lead of the reference's class where another came out; None if none did.
    """

    probe: Probe
    difference: np.ndarray
    signal: float
    max_rel: float
    cosine: float
    agree: np.ndarray | None
    margin: float | None = None

    @property
    def noise(self) -> float:
        """The sum of the squared differences."""
        return float(np.square(self.difference).sum())


def compare(probe: Probe, received: Arrays, task: Task) -> tuple[Compared, list[Flip]]:
    """Measure the differences of one call, over all of its outputs; of classes, the first output has the scores.

    Raises ValueError if a shape or a name differs.
    """
    if set(received) != set(probe.expected):
        raise ValueError(f"expected outputs {sorted(probe.expected)}. Received: {sorted(received)}")
    max_rel = signal = 0.0
    cosine = 1.0
    agree: np.ndarray | None = None
    differences: list[np.ndarray] = []
    flips: list[Flip] = []
    for name, want in probe.expected.items():
        got = received[name]
        if got.shape != want.shape:
            raise ValueError(
                f"output {name!r} at batch {probe.batch}: expected shape {want.shape}. Received: {got.shape}"
            )
        want64, got64 = want.astype(np.float64).reshape(len(want), -1), got.astype(np.float64).reshape(len(got), -1)
        difference = np.abs(want64 - got64)
        # NaN compares as neither larger nor smaller, and JSON has no infinity: both count as the largest difference.
        difference = np.nan_to_num(difference, nan=FARTHEST, posinf=FARTHEST)
        differences.append(difference.ravel())
        signal += float(np.square(want64).sum())
        scale = np.maximum(np.abs(want64).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        max_rel = max(max_rel, float(np.minimum(difference / scale, FARTHEST).max()))
        cosine = min(cosine, float(np.nan_to_num(_cosine(want64, got64), nan=-1.0).min()))
        if task.judged_by == "top-1" and agree is None:
            top_want, top_got = want64.argmax(1), got64.argmax(1)
            agree = top_want == top_got
            flips = [
                Flip(probe.set, probe.first + int(row), int(top_want[row]), int(top_got[row]), _margin(want64[row]))
                for row in np.flatnonzero(~agree)
            ]
    margin = max((flip.margin for flip in flips), default=None)
    return Compared(probe, np.concatenate(differences), signal, max_rel, cosine, agree, margin), flips


def sqnr_db(calls: Sequence[Compared]) -> float | None:
    """Return 10 log10(signal / noise), both summed over the calls; None where there is no noise."""
    signal, noise = sum(call.signal for call in calls), sum(call.noise for call in calls)
    return None if noise == 0 else 10 * math.log10(max(signal, np.finfo(np.float64).tiny) / noise)


def rms(calls: Sequence[Compared]) -> float:
    """Return the root mean square of the differences of all values of the calls."""
    return math.sqrt(sum(call.noise for call in calls) / sum(call.difference.size for call in calls))


def _widest(margins: Iterable[float | None]) -> float | None:
    return max((margin for margin in margins if margin is not None), default=None)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    with np.errstate(invalid="ignore"):  # infinity / infinity is NaN, which the caller counts as the worst
        return np.where(norms == 0, 1.0, (a * b).sum(1) / np.where(norms == 0, 1.0, norms))


def _margin(row: np.ndarray) -> float:
    if row.size < 2:
        return 0.0
    second, first = np.partition(row, -2)[-2:]
    return float(first - second)


def merge(calls: Iterable[Compared]) -> tuple[Parity, ...]:
    """Join the calls of each set and batch size: worst differences, mean agreement, the ratio of all their squares."""
    groups: dict[tuple[SetName, int], list[Compared]] = {}
    for call in calls:
        groups.setdefault((call.probe.set, call.probe.batch), []).append(call)
    return tuple(_joined(name, batch, group) for (name, batch), group in groups.items())


def _joined(name: SetName, batch: int, calls: list[Compared]) -> Parity:
    difference = np.concatenate([call.difference for call in calls])
    agree = [call.agree for call in calls if call.agree is not None]
    return Parity(
        set=name,
        batch=batch,
        rows=sum(call.probe.batch for call in calls),
        max_abs=float(difference.max()),
        p999_abs=float(np.quantile(difference, 0.999)),
        max_rel=max(call.max_rel for call in calls),
        sqnr_db=sqnr_db(calls),
        cosine=min(call.cosine for call in calls),
        top1=float(np.concatenate(agree).mean()) if agree else None,
        margin=_widest(call.margin for call in calls),
    )


def _mean_top1(checks: Iterable[Parity]) -> float | None:
    known = [(check.top1, check.rows) for check in checks if check.top1 is not None]
    return sum(top1 * rows for top1, rows in known) / sum(rows for _, rows in known) if known else None


def certify(
    *,
    artifact_sha256: str,
    basis_sha256: str,
    answers_sha256: str,
    reference: str,
    tolerance: Tolerance,
    task: Task,
    from_user: bool,
    calls: Sequence[Compared],
    flips: list[Flip],
    accuracy: float | None,
    reference_accuracy: float | None,
) -> Certificate:
    """Judge the calls: what is outside the tolerance is a breach.

    The ratio is judged over all calls of a set: one row of a quantised model may be far off, and a wrong row among a
    thousand still costs an fp32 artifact 70 dB, a quantised one its floor. A class that changed in spite of a clear
    lead (MOST_MARGIN) is no rounding.
    """
    checks = merge(calls)
    # Without evaluation data, random inputs are all that there is to judge by.
    judges_random = tolerance.judges_random or not any(check.set == "evaluation" for check in checks)
    judged = [check for check in checks if check.set == "evaluation" or judges_random]
    top1 = _mean_top1(check for check in judged if check.set == judged[0].set)
    cosine = min(check.cosine for check in judged)
    kinds = dict.fromkeys(check.set for check in judged)
    of_kind = {kind: [call for call in calls if call.probe.set == kind] for kind in kinds}
    ratios = {kind: sqnr_db(found) for kind, found in of_kind.items()}
    leads = {kind: MOST_MARGIN * rms(found) for kind, found in of_kind.items()} if top1 is not None else {}
    leads = leads if tolerance.min_sqnr_db is not None else {}
    breaches = [
        f"{kind} inputs: signal to quantisation noise {ratio:.1f} dB < {tolerance.min_sqnr_db:g} dB"
        for kind, ratio in ratios.items()
        if tolerance.min_sqnr_db is not None and ratio is not None and not ratio >= tolerance.min_sqnr_db
    ]
    breaches += [
        f"{check.set} inputs, batch {check.batch}: max abs difference {check.max_abs:.3g} > {tolerance.atol:.3g}"
        for check in judged
        if tolerance.atol is not None and not check.max_abs <= tolerance.atol
    ]
    breaches += [
        f"{kind} inputs: another class in spite of a lead of {wide:.3g} > {most:.3g}, {MOST_MARGIN:g} times the root "
        "mean square of the differences"
        for kind, most in leads.items()
        if (wide := _widest(call.margin for call in of_kind[kind])) is not None and not wide <= most
    ]
    if top1 is not None and top1 < tolerance.min_top1:
        breaches.append(f"top-1 agreement {top1:.2%} < {tolerance.min_top1:.2%} on {judged[0].set} inputs")
    is_of_vectors = task.judged_by == "cosine"
    if is_of_vectors and not cosine >= tolerance.min_cosine:
        breaches.append(f"smallest cosine of a row with the reference's {cosine:.6f} < {tolerance.min_cosine:g}")
    return Certificate(
        artifact_sha256=artifact_sha256,
        basis_sha256=basis_sha256,
        answers_sha256=answers_sha256,
        reference=reference,
        min_sqnr_db=tolerance.min_sqnr_db,
        atol=tolerance.atol,
        min_top1=None if top1 is None else tolerance.min_top1,
        min_cosine=tolerance.min_cosine if is_of_vectors else None,
        tolerance_source="user" if from_user else "variant",
        passed=not breaches,
        breaches=tuple(breaches),
        sqnr_db=min((ratio for ratio in ratios.values() if ratio is not None), default=None),
        max_abs=max(check.max_abs for check in judged),
        p999_abs=max(check.p999_abs for check in judged),
        cosine=cosine,
        top1=top1,
        accuracy=accuracy,
        reference_accuracy=reference_accuracy,
        checks=checks,
        flips=tuple(sorted(flips, key=lambda flip: -flip.margin)[:MAX_FLIPS]),
        margin=_widest(check.margin for check in judged),
        most_margin=min(leads.values(), default=None),
    )
