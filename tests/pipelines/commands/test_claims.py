"""``slipway claims`` as a user meets it, with a ledger that holds a measurement of every sort."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest

from pipelines.claims import CLAIMS, WORDS, ClaimReading, Evidence, Ruling, Verdict, claim_module
from pipelines.claims.experiments.bench import Effort
from pipelines.claims.ledger.entries import Entry, Ledger, key
from pipelines.claims.texts import catalogue
from pipelines.fairness.hardware import this_machine
from pipelines.results import Machine

MACHINE = Machine("Linux", "3.11.7", "A Made-up Processor", 2, 8_000_000_000)
MISSING = "tfx is not installed. Run: pip install tfx"
FAILED = "the worker was killed (signal 9)"
VOID = "a thing compared with itself was not equal: eager again is 1.31"


def entry(name: str, verdict: Verdict, evidence: Evidence | None = None, **more: Any) -> Entry:
    """A measurement of today's code, unless ``key`` says otherwise."""
    given = {"key": key(claim_module(name).CLAIM), "machine": MACHINE, **more}
    day = "2026-11-29T10:15:00+00:00"
    found = evidence or Evidence()
    return Entry(name, verdict, found, Effort.QUICK, 7, day, 93.4, versions={"torch": "2.13.0"}, **given)


def kept() -> dict[str, Entry]:
    """Return four: D5 has a sentence of its own, P1's is of other code, S5 was measured here, the others elsewhere."""
    words = sorted(catalogue()["D5"].verdicts)[0]
    outcome = {name: one for one, name in WORDS.items()}.get(words, Ruling.NOT_HERE)
    numbers = Evidence(
        (ClaimReading("of another time", 0.65, "x", 0.62, 0.69, 0.93, ((1.3, 2.0), (1.2, 1.9))),), {"a": 1}
    )
    failed = Verdict(Ruling.UNDECIDED, words="failed")
    return {
        "D5": entry("D5", Verdict(outcome, words=words)),
        "P1": entry("P1", Verdict(Ruling.DEPENDS, words="of other code", number="0.65"), numbers, key="other"),
        "E1": entry("E1", Verdict(Ruling.NOT_HERE, words="missing"), reason=MISSING),
        "S5": entry("S5", failed, reason=FAILED, log="reports/claims/S5/log.txt", machine=this_machine()),
    }


@pytest.fixture
def ledger_cli(fresh_cli: Any) -> Any:
    """Commands in a workspace with these measurements."""
    ledger = Ledger(fresh_cli.workspace / "reports" / "claims")
    for one in kept().values():
        ledger.keep(one)
    return fresh_cli


def test_an_empty_ledger_has_every_claim_and_says_how_to_measure(fresh_cli: Any) -> None:
    done = fresh_cli("claims")
    assert done.returncode == 0, done.stderr
    assert f"{len(CLAIMS)} claims: {len(CLAIMS)} not measured" in done.stdout
    assert "`slipway claims run` measures" in done.stdout
    assert not fresh_cli.workspace.exists()


def test_the_ledger_lists_every_claim_and_counts_the_verdicts(ledger_cli: Any) -> None:
    done = ledger_cli("claims", env={**os.environ, "COLUMNS": "160"})
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.split() and line.split()[0] in CLAIMS}
    assert list(rows) == list(CLAIMS)
    assert "2026-11-29*" in rows["P1"]  # of other code
    assert "depends" in rows["P1"]
    assert "not measured" in rows["D1"]
    assert f"S5: {FAILED}" in done.stdout
    assert f"{len(CLAIMS) - len(kept())} not measured" in done.stdout
    assert "Measured on: A Made-up Processor" in done.stdout


def test_the_ledger_as_json(ledger_cli: Any) -> None:
    found = {line["id"]: line for line in ledger_cli.json("claims")}
    assert list(found) == list(CLAIMS)
    assert (found["P1"]["outcome"], found["P1"]["number"], found["P1"]["stale"]) == ("depends", "0.65", True)
    assert (found["E1"]["outcome"], found["E1"]["failed"]) == ("not testable here", None)
    assert (found["S5"]["outcome"], found["S5"]["failed"], found["S5"]["stale"]) == ("undecided", FAILED, False)
    assert found["E1"]["stale"]  # of another processor
    assert found["D1"]["outcome"] is None
    assert set(found["D1"]["sentence"]) == {"en", "zh"}


def test_one_claim_is_shown_with_its_words_and_raw_numbers(ledger_cli: Any) -> None:
    done = ledger_cli("claims", "show", "P1")
    assert done.returncode == 0, done.stderr
    words = catalogue()["P1"]
    for wanted in (words.original, words.sentence.en, words.rule.en, words.confounds.en, words.changes.en):
        assert wanted in done.stdout
    assert "of another time: 0.65 [0.62 to 0.69]" in done.stdout
    assert "1.3/2" in done.stdout
    assert "slipway claims run P1 --again" in done.stdout
    found = ledger_cli.json("claims", "show", "p1")
    assert found["line"]["id"] == "P1"
    assert found["entry"]["evidence"]["readings"][0]["raw"] == [[1.3, 2.0], [1.2, 1.9]]


def test_a_claim_that_was_not_measured_says_which_command_does_it(fresh_cli: Any) -> None:
    done = fresh_cli("claims", "show", "S4")
    assert done.returncode == 0, done.stderr
    assert "Not measured. This does it: slipway claims run S4" in done.stdout


@pytest.mark.parametrize("words", [("show", "P9"), ("run", "P9"), ("run", "D5", "P9")], ids=" ".join)
def test_an_unknown_claim_is_one_line_with_the_nearest_ids(fresh_cli: Any, words: tuple[str, ...]) -> None:
    done = fresh_cli("claims", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("slipway: unknown claim: 'P9'. Did you mean ")
    assert done.stderr.count("\n") == 1
    assert not fresh_cli.workspace.exists()
    as_json = fresh_cli("claims", *words, "--json")
    assert as_json.returncode == 2
    assert json.loads(as_json.stdout)["error"].startswith("unknown claim: 'P9'")


def test_the_report_is_a_page_and_json_of_every_claim(ledger_cli: Any) -> None:
    done = ledger_cli("claims", "report")
    assert done.returncode == 0, done.stderr
    folder = ledger_cli.workspace / "reports" / "claims"
    assert done.stdout == f"report: {folder / 'claims.html'}\n"
    page = (folder / "claims.html").read_text()
    assert sorted(re.findall(r'<article class="claim [\w-]+" id="(\w+)">', page)) == sorted(CLAIMS)
    assert MISSING in page
    assert "A Made-up Processor" in page
    found = {one["line"]["id"]: one for one in json.loads((folder / "claims.json").read_text())}
    assert list(found) == list(CLAIMS)
    assert found["S5"]["entry"]["reason"] == FAILED
    assert found["D1"]["entry"] is None
    assert ledger_cli.json("claims", "report") == {"html": str(folder / "claims.html")}


def test_a_void_measurement_stands_beside_the_last_sound_one(fresh_cli: Any) -> None:
    ledger = Ledger(fresh_cli.workspace / "reports" / "claims")
    sound = kept()["P1"]
    ledger.keep(sound)
    ledger.keep(entry("P1", Verdict(Ruling.HOLDS, number="0.10"), sound.evidence, void=VOID))
    (line,) = [one for one in fresh_cli.json("claims") if one["id"] == "P1"]
    assert (line["outcome"], line["number"], line["void"]) == ("depends", "0.65", VOID)
    assert f"P1: the newest measurement is void: {VOID}" in " ".join(fresh_cli("claims").stdout.split())
    fresh_cli.json("claims", "report")
    page = (fresh_cli.workspace / "reports" / "claims" / "claims.html").read_text()
    assert VOID in page
    assert "0.10" not in page.partition('id="P1"')[2].partition("</article>")[0]


def test_a_damaged_entry_counts_as_none(ledger_cli: Any) -> None:
    (ledger_cli.workspace / "reports" / "claims" / "S5" / "newest.json").write_text("{")
    (line,) = [one for one in ledger_cli.json("claims") if one["id"] == "S5"]
    assert line["outcome"] is None


def test_a_report_that_cannot_be_written_is_one_line(fresh_cli: Any) -> None:
    fresh_cli.workspace.mkdir()
    (fresh_cli.workspace / "reports").write_text("a file")
    done = fresh_cli("claims", "report")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("slipway: ")
