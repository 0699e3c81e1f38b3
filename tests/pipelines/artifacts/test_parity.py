"""The comparison of outputs: differences, flips, verdicts."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.spec import BATCH, Integers, Mask, ModelSpec, OneOf, TensorSpec, Uniform
from models.task import Classes, Plain, Task, Vectors
from pipelines.artifacts.parity import (
    BATCHES,
    FARTHEST,
    PROBE_ROWS,
    Compared,
    Probe,
    certify,
    chunks,
    compare,
    merge,
    sqnr_db,
)
from pipelines.artifacts.reference import Reference
from pipelines.paths import Tolerance
from pipelines.results import Certificate

CLASSES = Classes()


def probe(expected: np.ndarray, name: str = "evaluation") -> Probe:
    return Probe(name, len(expected), 0, {}, {"logits": expected})  # type: ignore[arg-type]


def verdict(
    calls: list[Compared], tolerance: Tolerance, flips: list | None = None, task: Task = CLASSES
) -> Certificate:
    return certify(
        artifact_sha256="a" * 64,
        basis_sha256="b" * 64,
        answers_sha256="c" * 64,
        reference="test",
        tolerance=tolerance,
        task=task,
        from_user=False,
        calls=calls,
        flips=flips or [],
        accuracy=None,
        reference_accuracy=None,
    )


def test_equal_outputs_have_no_difference() -> None:
    logits = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 5.0]], np.float32)
    call, flips = compare(probe(logits), {"logits": logits.copy()}, Classes())
    (check,) = merge([call])
    assert (check.max_abs, check.p999_abs, check.max_rel, check.sqnr_db, check.top1) == (0.0, 0.0, 0.0, None, 1.0)
    assert flips == []
    assert check.cosine == pytest.approx(1.0)


def test_a_flip_carries_the_reference_margin() -> None:
    want = np.array([[1.0, 2.0, 2.5], [9.0, 0.0, 0.0]], np.float32)
    got = np.array([[1.0, 2.6, 2.5], [9.0, 0.0, 0.0]], np.float32)
    call, flips = compare(probe(want), {"logits": got}, Classes())
    (check,) = merge([call])
    assert check.top1 == 0.5
    assert check.max_abs == pytest.approx(0.6, abs=1e-6)
    assert check.max_rel == pytest.approx(0.6 / 2.5, abs=1e-6)
    (flip,) = flips
    assert (flip.row, flip.reference, flip.received) == (0, 2, 1)
    assert flip.margin == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_the_farthest_and_survives_json(bad: float) -> None:
    want = np.ones((2, 3), np.float32)
    got = want.copy()
    got[1, 1] = bad
    call, _ = compare(probe(want), {"logits": got}, Classes())
    assert call.difference.max() == pytest.approx(FARTHEST)
    for tolerance in (Tolerance(None, atol=1e30), Tolerance(0.0)):
        certificate = verdict([call], tolerance)
        assert not certificate.passed
        json.dumps(asdict(certificate), allow_nan=False)


def test_other_names_and_shapes_are_errors_that_say_so() -> None:
    want = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"expected outputs \['logits'\]. Received: \['scores'\]"):
        compare(probe(want), {"scores": want}, Classes())
    with pytest.raises(ValueError, match=r"expected shape \(2, 3\). Received: \(2, 4\)"):
        compare(probe(want), {"logits": np.ones((2, 4), np.float32)}, Classes())


def test_a_breach_fails_and_names_the_check() -> None:
    want = np.eye(4, dtype=np.float32)  # its squares' mean is 1/4
    near, _ = compare(probe(want), {"logits": want + np.float32(5e-5)}, Classes())
    far, _ = compare(probe(want), {"logits": want + np.float32(2e-4)}, Classes())
    assert verdict([near], Tolerance(None, atol=1e-4)).passed
    failed = verdict([far], Tolerance(None, atol=1e-4))
    assert not failed.passed
    assert failed.breaches == ("evaluation inputs, batch 4: max abs difference 0.0002 > 0.0001",)
    assert verdict([near], Tolerance(80.0)).passed
    failed = verdict([far], Tolerance(80.0))
    assert not failed.passed
    assert failed.breaches == ("evaluation inputs: signal to quantisation noise 68.0 dB < 80 dB",)


def test_the_ratio_is_of_all_values_of_a_batch_size() -> None:
    want = np.ones((2, 2), np.float32)
    calls = [compare(probe(want), {"logits": want + np.array(off, np.float32)}, Classes())[0] for off in (0.0, 0.5)]
    (check,) = merge(calls)
    assert check.sqnr_db == pytest.approx(10 * np.log10(8 / (4 * 0.25)))
    assert (check.rows, check.max_abs) == (4, 0.5)
    assert 0.49 < check.p999_abs <= 0.5
    nothing, _ = compare(probe(0 * want), {"logits": want}, Classes())
    assert sqnr_db([nothing]) < -1000  # finite, so that JSON can hold it


def test_a_row_that_is_wrong_among_a_thousand_fails_even_a_quantised_variant() -> None:
    want = np.random.default_rng(0).normal(size=(1000, 10)).astype(np.float32)
    good, _ = compare(probe(want), {"logits": want}, Classes())
    bad, _ = compare(probe(want[:1]), {"logits": want[1:2]}, Classes())
    assert verdict([good], Tolerance(33.0)).passed
    failed = verdict([good, bad], Tolerance(33.0, 0.98))
    assert [breach.split(" dB")[0] for breach in failed.breaches if "noise" in breach]
    assert not failed.passed


def test_too_many_flips_fail_whatever_the_difference() -> None:
    want = np.array([[0.0, 1e-6]] * 50, np.float32)
    got = want[:, ::-1].copy()
    check, flips = compare(probe(want), {"logits": got}, Classes())
    certificate = verdict([check], Tolerance(None, 0.98, atol=1.0), flips)
    assert not certificate.passed
    assert certificate.breaches == ("top-1 agreement 0.00% < 98.00% on evaluation inputs",)


def test_another_class_in_spite_of_a_clear_lead_fails_whatever_the_ratio() -> None:
    rng = np.random.default_rng(0)
    want = rng.normal(size=(1000, 10)).astype(np.float32)
    noisy = want + rng.normal(scale=0.1, size=want.shape).astype(np.float32)
    call, flips = compare(probe(want), {"logits": noisy}, Classes())
    passed = verdict([call], Tolerance(15.0, 0.8), flips)
    assert passed.passed
    assert passed.margin is not None
    assert passed.most_margin == pytest.approx(6 * 0.1, rel=0.05)
    assert 0 < passed.margin < passed.most_margin
    row = int(np.argmax(np.sort(want)[:, -1] - np.sort(want)[:, -2]))  # the clearest one is exchanged for another
    noisy[row] = want[row][::-1]
    call, flips = compare(probe(want), {"logits": noisy}, Classes())
    failed = verdict([call], Tolerance(15.0, 0.8), flips)
    assert failed.sqnr_db is not None
    assert failed.sqnr_db > 15
    (breach,) = failed.breaches
    assert breach.startswith("evaluation inputs: another class in spite of a lead of ")
    assert [check.margin for check in failed.checks] == [failed.margin] == [failed.flips[0].margin]


def test_random_inputs_are_judged_only_where_the_variant_says_so() -> None:
    want = np.eye(4, dtype=np.float32)
    good, _ = compare(probe(want), {"logits": want}, Classes())
    noise, _ = compare(probe(want, "random"), {"logits": want + 3}, Classes())
    assert not verdict([good, noise], Tolerance(None, atol=1.0)).passed
    lenient = verdict([good, noise], Tolerance(None, judges_random=False, atol=1.0))
    assert lenient.passed
    assert lenient.max_abs == 0.0


def test_merge_keeps_the_worst_and_weighs_the_agreement() -> None:
    want = np.array([[2.0, 0.0], [0.0, 2.0]], np.float32)
    swapped = np.array([[2.0, 0.0], [3.0, 2.0]], np.float32)
    calls = [
        compare(probe(want[rows]), {"logits": swapped[rows]}, Classes())[0]
        for rows in (slice(0, 1), slice(0, 2), slice(1, 2))
    ]
    one, two = merge(calls)
    assert (one.batch, one.rows, one.max_abs, one.max_rel, one.top1) == (1, 2, 3.0, 1.5, 0.5)
    assert (two.batch, two.rows, two.max_abs, two.top1) == (2, 2, 3.0, 0.5)
    assert one.cosine == two.cosine == pytest.approx(2 / np.sqrt(13))


@given(st.integers(1, 60), st.lists(st.integers(1, 16), max_size=8))
def test_chunks_follow_each_other_and_begin_anew_where_the_rows_end(rows: int, sizes: list[int]) -> None:
    parts = list(chunks(rows, sizes))
    assert [part.stop - part.start for part in parts] == [size for size in sizes if size <= rows]
    before = 0
    for part in parts:
        size = part.stop - part.start
        assert (part.start, part.stop <= rows) == (before if before + size <= rows else 0, True)
        before = part.stop


def test_chunks_of_few_rows() -> None:
    assert list(chunks(6, (1, 2, 3, 5, 8))) == [slice(0, 1), slice(1, 3), slice(3, 6), slice(0, 5)]
    assert list(chunks(0, (1, 2))) == []


@given(st.integers(1, 250))
def test_every_row_of_the_evaluation_set_is_probed_whatever_their_number(rows: int) -> None:
    arrays = {"x": np.arange(rows)[:, np.newaxis]}
    sets = {"evaluation": arrays, "random": {"x": np.arange(PROBE_ROWS)[:, np.newaxis]}}
    probes = list(Reference(sets, sets, np.zeros(rows, np.int64)).probes())
    seen = [probe for probe in probes if probe.set == "evaluation"]
    assert {int(row) for probe in seen for row in probe.inputs["x"][:, 0]} == set(range(rows))
    assert {probe.batch for probe in probes if probe.set == "random"} == set(BATCHES)
    assert {size for size in BATCHES if size <= rows} <= {probe.batch for probe in seen}
    # What may be left out for lack of time leaves every batch size asked.
    assert {probe.batch for probe in probes if not probe.spare} == set(BATCHES)


def drawn(tensor: TensorSpec, rows: int, **free: int) -> np.ndarray:
    spec = ModelSpec("tiny", "tiny", (tensor,), (), Plain(), 1.0)
    assert np.array_equal(spec.draw(rows, free, 1)[tensor.name], spec.draw(rows, free, 1)[tensor.name])
    assert not np.array_equal(spec.draw(rows, free, 1)[tensor.name], spec.draw(rows, free, 2)[tensor.name])
    return spec.draw(rows, free, 1)[tensor.name]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_random_masks_have_both_of_their_values(dtype: str) -> None:
    found = drawn(TensorSpec("mask", dtype, (BATCH, 3), OneOf((0, 1))), 200)
    assert (found.dtype, found.shape) == (np.dtype(dtype), (200, 3))
    assert set(np.unique(found)) == {0, 1}
    assert 0.4 < found.mean() < 0.6  # 600 draws; the standard deviation is 0.02


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_random_padding_is_behind_one_value_or_more(dtype: str) -> None:
    found = drawn(TensorSpec("mask", dtype, (BATCH, "length"), Mask()), 200, length=5)
    assert (found.dtype, found.shape) == (np.dtype(dtype), (200, 5))
    assert np.array_equal(found, -np.sort(-found.astype(int)))
    assert set(found.astype(int).sum(1)) == {1, 2, 3, 4, 5}


def test_random_whole_numbers_reach_both_ends_of_their_range() -> None:
    found = drawn(TensorSpec("tokens", "int64", (BATCH, "length"), Integers(-3, 4)), 50, length=10)
    assert found.shape == (50, 10)
    assert set(np.unique(found)) == set(range(-3, 5))


def test_random_numbers_fill_their_range() -> None:
    found = drawn(TensorSpec("image", "float32", (BATCH, 2), Uniform(0.25, 0.75)), 100)
    assert (found.dtype, found.shape) == (np.float32, (100, 2))
    assert 0.25 <= found.min() < 0.3 < 0.7 < found.max() <= 0.75


def test_vectors_are_judged_by_their_cosine() -> None:
    want = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
    turned = np.array([[1.0, 0.01], [0.0, 2.0]], np.float32)
    call, flips = compare(probe(want), {"logits": turned}, Vectors())
    assert flips == []
    lenient, strict = Tolerance(None, min_cosine=0.9999), Tolerance(None, min_cosine=0.99999)
    passed = verdict([call], lenient, task=Vectors())
    assert (passed.passed, passed.top1, passed.min_top1, passed.min_cosine) == (True, None, None, 0.9999)
    failed = verdict([call], strict, task=Vectors())
    assert failed.breaches == ("smallest cosine of a row with the reference's 0.999950 < 0.99999",)
    assert verdict([call], strict).passed  # of classes, the direction does not matter


def test_plain_numbers_have_no_classes() -> None:
    call, flips = compare(probe(np.eye(3, dtype=np.float32)), {"logits": np.eye(3)[::-1].astype(np.float32)}, Plain())
    assert (call.agree, flips) == (None, [])
    found = verdict([call], Tolerance(None), task=Plain())
    assert (found.passed, found.top1, found.min_cosine) == (True, None, None)


def test_of_several_outputs_the_first_has_the_classes() -> None:
    want = {"logits": np.eye(2, dtype=np.float32), "boxes": np.eye(2, dtype=np.float32)}
    got = {"boxes": want["boxes"][::-1].copy(), "logits": want["logits"]}
    call, flips = compare(Probe("evaluation", 2, 0, {}, want), got, Classes())
    assert call.agree is not None
    assert call.agree.all()
    assert flips == []
