"""What has become of technologies: every row has a source and a date, and an old one says so."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from pipelines.claims.status import KEEPS_DAYS, Technology, lifecycle_of, technologies, unusual
from pipelines.paths import PATHS, path_module
from pipelines.paths.choose import choose
from pipelines.run.prepare import start_row


def test_every_row_has_a_source_a_day_and_paths_that_there_are() -> None:
    known = {"maintained", "maintenance", "dormant", "beta", "renamed", "deprecated", "archived"}
    places = {name for path in PATHS for name in (path, *(f"{path}:{v}" for v in path_module(path).CARD.variants))}
    for one in technologies().values():
        assert one.status in known
        assert one.source
        assert isinstance(one.looked_up, date)
        assert set(one.paths) <= places, one.name


def test_every_path_rests_on_a_technology_with_a_row() -> None:
    named = {path for one in technologies().values() for path in one.paths}
    assert set(PATHS) <= named


def test_a_row_older_than_a_year_says_so() -> None:
    one = Technology("A", "archived", "a/b#1", date(2026, 1, 1), since="2025")
    young, old = one.looked_up + timedelta(KEEPS_DAYS), one.looked_up + timedelta(KEEPS_DAYS + 1)
    assert one.says(young) == "archived since 2025 (a/b#1)"
    assert one.says(old) == "archived since 2025 (a/b#1, as looked up on 2026-01-01, more than a year ago)"


def test_a_state_without_a_beginning_has_no_since() -> None:
    assert Technology("A", "beta", "a/b#1", date(2026, 1, 1)).says(date(2026, 1, 2)) == "beta (a/b#1)"


@pytest.mark.parametrize(
    ("path", "variant", "states"),
    [
        ("torchserve", None, ["archived"]),
        ("torchserve", "torchscript", ["deprecated"]),
        ("torchserve", "export", []),
        ("executorch", None, ["beta"]),
        ("litert", None, []),
        ("tf-serving", None, []),
    ],
)
def test_a_path_and_a_variant_each_have_their_own_rows(path: str, variant: str | None, states: list[str]) -> None:
    assert [one.status for one in unusual(path, variant)] == states
    assert (lifecycle_of(path, variant) is None) == (states == [])


def test_a_row_of_the_report_joins_the_states_of_path_and_variant() -> None:
    rows = {choice.name: start_row(choice).lifecycle for choice in choose(["torchserve", "litert:fp32"])}
    assert rows["litert:fp32"] is None
    assert (rows["torchserve:export"] or "").startswith("archived since August 2025 (pytorch/serve#3396")
    both = rows["torchserve:torchscript"] or ""
    assert both.startswith("archived since August 2025")
    assert "; deprecated since PyTorch 2.5" in both
