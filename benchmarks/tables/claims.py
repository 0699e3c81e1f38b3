"""Tables of the claims: a summary, and the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tables.words import one_line

OUTCOMES = ("holds", "does not hold", "depends", "undecided", "not testable here", None)
"""The outcomes of a claim, in the order of the ledger's columns; None: it was not measured."""


def claims_summary(results: dict[str, Any]) -> str:
    """Returns the ledger in ten lines: the claims of each section of the article, by their outcome."""
    claims = results["claims"]
    shown = [one for one in OUTCOMES if one or any(claim["outcome"] is None for claim in claims)]
    lines = [
        f"| section of the article | {' | '.join(one or 'not measured' for one in shown)} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for number, title in results["sections"].items():
        here = [claim for claim in claims if claim["sections"][0] == int(number)]
        cells = [", ".join(claim["id"] for claim in here if claim["outcome"] == one) or "–" for one in shown]
        lines.append(f"| {number}. {title} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", about_claims(results)])


def claims_ledger(results: dict[str, Any]) -> str:
    """Returns one line for each claim."""
    machines = _machines(results)
    lines = [
        "| id | claim | verdict | reading | in a sentence | machine | time | verdict before |",
        "|---|---|---|---|---|--:|--:|---|",
    ]
    for claim in results["claims"]:
        measured = claim["outcome"] is not None
        marks = ["stale"] * claim["stale"] + ["the newest is void"] * (claim["void"] is not None)
        marks += [effort for effort in ("quick", "tiny") if claim.get("effort") == effort]
        cells = [
            claim["id"],
            one_line(claim["sentence"]["en"]),
            " ".join([claim["outcome"] or "not measured", *([f"({', '.join(marks)})"] if marks else [])]),
            one_line(claim["number"]) or "–",
            one_line(claim["says"]["en"]) if claim["says"] else "–",
            str(machines.index(_machine(claim["machine"])) + 1) if measured else "–",
            f"{claim['took_s']:,.0f} s" if measured else "–",
            _before(claim, machines),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", about_claims(results), *_twice(results)])


def _before(claim: dict[str, Any], machines: list[str]) -> str:
    """Returns the verdict of the measurement before, with its number and machine."""
    found = claim.get("before")
    if not found:
        return "–"
    number = f", {one_line(found['number'])}" if found["number"] else ""
    return f"{found['outcome']}{number} (machine {machines.index(_machine(found['machine'])) + 1})"


SAYS_NOTHING = ("undecided", "not testable here")


def _twice(results: dict[str, Any]) -> list[str]:
    """Says how many claims have the verdict of the measurement before."""
    pairs = {one["id"]: (one["outcome"], one["before"]["outcome"]) for one in results["claims"] if one.get("before")}
    decided = {name: pair for name, pair in pairs.items() if not set(pair) & set(SAYS_NOTHING)}
    other = [f"{name} ({old}, now {new})" for name, (new, old) in decided.items() if new != old]
    if not pairs:
        return []
    return [
        "",
        f"{len(pairs)} of them were measured before, too: {len(decided)} with a verdict both times, "
        f"{len(decided) - len(other)} of these with the same. " + (f"Others: {', '.join(other)}." if other else ""),
    ]


def about_claims(results: dict[str, Any]) -> str:
    """Says how many claims were measured, where and when, and how long it took."""
    measured = [claim for claim in results["claims"] if claim["outcome"] is not None]
    if not measured:
        return f"None of the {len(results['claims'])} claims is measured yet: `{results['command']}` does it."
    days = sorted({claim["measured"][:10] for claim in measured})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    minutes = _took_s(measured) / 60
    where = "; ".join(f"{number}: {machine}" for number, machine in enumerate(_machines(results), 1))
    return (
        f"{len(measured)} of {len(results['claims'])} claims measured by `{results['command']}` on {span}, in "
        f"{minutes:.0f} minutes. Machine {where}."
    )


def _took_s(measured: list[dict[str, Any]]) -> float:
    """Returns for how long claims were measured: where some were beside each other, that time counts once."""
    total, end = 0.0, 0.0
    for begin, took in sorted((datetime.fromisoformat(one["measured"]).timestamp(), one["took_s"]) for one in measured):
        total += max(0.0, begin + took - max(begin, end))
        end = max(end, begin + took)
    return total


def _machines(results: dict[str, Any]) -> list[str]:
    """Returns the machines that claims were measured on, in the order of the ledger."""
    measured = [claim for claim in results["claims"] if claim["outcome"]]
    earlier = [claim["before"] for claim in results["claims"] if claim.get("before")]
    return list(dict.fromkeys(_machine(one["machine"]) for one in (*measured, *earlier)))


def _machine(machine: dict[str, Any]) -> str:
    memory_gb = machine["memory_bytes"] / 1e9
    return f"{machine['cpu']}, {machine['cores']} cores, {memory_gb:.1f} GB, Python {machine['python']}"
