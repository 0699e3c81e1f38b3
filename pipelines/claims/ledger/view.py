"""Joins what is kept of a claim with its words: a line of the ledger, and all there is to show of one claim."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.claims import CLAIMS, Claim, ClaimModule, Ruling, Verdict, claim_module
from pipelines.claims.elsewhere import OthersFinding, elsewhere
from pipelines.claims.ledger.entries import Entry, Kept, Ledger, key
from pipelines.claims.plots import Plot
from pipelines.claims.texts import Text, Words, catalogue, page
from pipelines.fairness.hardware import this_machine
from pipelines.results import Machine


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One line of the ledger.

    ``outcome`` is None for a claim that was not measured. ``stale`` is True if it was measured with other code,
    versions or processor: it says nothing about these. ``void`` says why the newest measurement does not count;
    the outcome is then that of the last sound one, if there is any.
    """

    id: str
    sections: tuple[int, ...]
    sentence: Text
    outcome: Ruling | None = None
    number: str = ""
    says: Text | None = None
    measured: str | None = None
    machine: str | None = None
    effort: str | None = None
    stale: bool = False
    void: str | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimView:
    """All there is to show of one claim."""

    line: LedgerLine
    claim: Claim
    words: Words
    entry: Entry | None
    plot: Plot | None
    elsewhere: tuple[OthersFinding, ...]


def lines(ledger: Ledger) -> list[LedgerLine]:
    """Return every line of the ledger, in the order of the article."""
    return [line_of(ledger, name) for name in CLAIMS]


def line_of(ledger: Ledger, name: str) -> LedgerLine:
    """Return the line of one claim."""
    return _line(claim_module(name).CLAIM, ledger.kept(name))


def page_of(ledger: Ledger, name: str) -> ClaimView:
    """Return all there is to show of one claim."""
    module, kept = claim_module(name), ledger.kept(name)
    entry, line = _counts(kept), _line(module.CLAIM, kept)
    plot = _plot(module, entry, stale=line.stale) if entry is not None and entry.reason is None else None
    return ClaimView(line, module.CLAIM, catalogue()[name], entry, plot, elsewhere().get(name, ()))


def _plot(module: ClaimModule, entry: Entry, *, stale: bool) -> Plot | None:
    """Return the plot of a measurement; None for one of other code that this code cannot read any more."""
    try:
        return module.plot(entry.evidence)
    except (LookupError, TypeError, ValueError):
        if not stale:
            raise
        return None


def _counts(kept: Kept | None) -> Entry | None:
    """Return the entry whose verdict counts: the newest, or the last sound one if that is void."""
    if kept is None:
        return None
    return kept.sound if kept.newest.void and kept.sound else kept.newest


def _line(claim: Claim, kept: Kept | None) -> LedgerLine:
    words, entry = catalogue()[claim.id], _counts(kept)
    if kept is None or entry is None:
        return LedgerLine(claim.id, claim.sections, words.sentence)
    newest = kept.newest
    void_only = kept.sound is None and newest.void is not None
    verdict = Verdict(Ruling.UNDECIDED, words="void") if void_only else entry.verdict
    stale = entry.key != key(claim) or _processor(entry.machine) != _processor(this_machine())
    return LedgerLine(
        id=claim.id,
        sections=claim.sections,
        sentence=words.sentence,
        outcome=verdict.outcome,
        number=verdict.number,
        says=_says(words, verdict, entry, stale=stale),
        measured=entry.started,
        machine=entry.machine.cpu,
        effort=entry.effort.name.lower(),
        stale=stale,
        void=newest.void,
        failed=newest.reason if newest.verdict.words == "failed" else None,
    )


def _processor(machine: Machine) -> tuple[str, int]:
    return machine.cpu, machine.cores


def _says(words: Words, verdict: Verdict, entry: Entry, *, stale: bool) -> Text | None:
    """Return a verdict's sentence: the claim's own, or for one without evidence that of every claim.

    None for a verdict of other code, which had other words.
    """
    if verdict.words in ("missing", "failed", "void"):
        reason = (entry.reason or entry.void or "").partition("\n")[0]  # the end of a log may follow
        return page()[f"verdict-{verdict.words}"].filled({"reason": reason})
    if verdict.key not in words.verdicts:
        return None
    try:
        return words.says(verdict)
    except KeyError:
        if not stale:
            raise
        return None
