"""Random order: every row once, the same for the same seed, another for every round."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from pipelines.fairness.order import new_seed, shuffled


@given(st.lists(st.text()), st.integers(0, 2**40), st.integers(1, 9))
def test_every_item_is_there_once(items: list[str], seed: int, number: int) -> None:
    assert sorted(shuffled(items, seed, number)) == sorted(items)


def test_rounds_and_seeds_differ_and_no_place_is_favoured() -> None:
    items = list(range(6))
    orders = {tuple(shuffled(items, 3, number)) for number in range(1, 40)}
    assert len(orders) > 30
    first = [shuffled(items, seed, 1)[0] for seed in range(1200)]
    assert all(150 < first.count(item) < 250 for item in items)  # 200 each; six standard deviations are 77


def test_another_process_makes_the_same_order() -> None:
    code = "from pipelines.fairness.order import shuffled; print(shuffled(list('abcdefgh'), 7, 2, 'x'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(shuffled(list("abcdefgh"), 7, 2, "x"))


def test_a_new_seed_is_another_each_time() -> None:
    assert len({new_seed() for _ in range(5)}) > 1
