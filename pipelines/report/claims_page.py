"""Write ``claims.html``: the article claim by claim, in English and in Chinese; one file that loads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.claims import ARTICLE, WORDS
from pipelines.claims.ledger.entries import Entry
from pipelines.claims.ledger.view import ClaimView
from pipelines.claims.texts import Text, page
from pipelines.report import numbers
from pipelines.report.claims_facts import blocks
from pipelines.report.claims_figures import drawn, short
from pipelines.report.html_face import HERE, for_plotly, policy

SECTIONS = range(1, 9)
NONE = "none"
"""Stands for the outcome of a claim that was not measured."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the article: the claims that it says first, and those that it says again."""

    number: int
    claims: tuple[ClaimView, ...]
    also: tuple[ClaimView, ...]


def render(found: Sequence[ClaimView]) -> str:
    """Render the page as text. It fetches nothing, and all text is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "plain": lambda text: numbers.plain(str(text)),
        "short": short,
        "duration": numbers.duration,
        "moment": moment,
        "slug": slug,
        "rounds": rounds,
        "log": lambda reason: numbers.sentence_and_log(reason)[1],
    }
    plots = {view.line.id: drawn(view.line.id, view.plot) for view in found if view.plot is not None}
    drawings = [one.figure for one in plots.values() if one.figure is not None]
    # Plotly's script is 4.8 MB: a page without plots does not include it.
    scripts = [get_plotlyjs()] if drawings else []
    scripts += [(HERE / name).read_text("utf-8") for name in ("page.js", "claims_page.js")]
    css = "\n".join((HERE / name).read_text("utf-8") for name in ("page.css", "claims_page.css"))
    return environment.get_template("claims_page.html").render(
        article=ARTICLE,
        text=text,
        sections=sections(found),
        counts=counts(found),
        measured=measured(found),
        machines=list(dict.fromkeys(entry.machine for entry in entries(found))),
        versions=versions(found),
        outcome=outcome,
        plots=plots,
        words=cell_words(),
        blocks=blocks,
        drawings=[for_plotly(one) for one in drawings],
        css=Markup(css),  # noqa: S704
        scripts=[Markup(script) for script in scripts],  # noqa: S704
        policy=policy(scripts),
    )


def text(name: str, **values: Any) -> Text:
    """Return a text of the page, in every language, with its places filled. Raises KeyError for an unknown one."""
    found = page()[name]
    return found.filled(values) if values else found


def outcome(view: ClaimView) -> str:
    """Return the name of a claim's outcome, as in the page's texts and classes."""
    return NONE if view.line.outcome is None else WORDS[view.line.outcome]


def counts(found: Sequence[ClaimView]) -> list[tuple[str, int]]:
    """Count the claims of each outcome; outcomes that none has are left out."""
    counted = Counter(outcome(view) for view in found)
    return [(name, counted[name]) for name in [*WORDS.values(), NONE] if counted[name]]


def entries(found: Sequence[ClaimView]) -> list[Entry]:
    """Return the measurements that are shown."""
    return [view.entry for view in found if view.entry is not None]


def measured(found: Sequence[ClaimView]) -> Text | None:
    """Say how many claims were measured, when, and how long that took; None if none was."""
    shown = entries(found)
    if not shown:
        return None
    days = sorted(entry.started for entry in shown)
    took = numbers.duration(sum(entry.took_s for entry in shown))
    return text(
        "head-measured", measured=len(shown), all=len(found), first=moment(days[0]), last=moment(days[-1]), took=took
    )


def versions(found: Sequence[ClaimView]) -> dict[str, list[str]]:
    """Return the versions of each library that the claims were measured with."""
    seen: dict[str, set[str]] = {}
    for entry in entries(found):
        for name, version in entry.versions.items():
            seen.setdefault(name, set()).add(version)
    return {name: sorted(seen[name]) for name in sorted(seen, key=str.lower)}


def sections(found: Sequence[ClaimView]) -> list[Section]:
    """Sort the claims into the article's sections; each is shown in the first that says it."""
    return [
        Section(
            number,
            tuple(view for view in found if view.line.sections[0] == number),
            tuple(view for view in found if number in view.line.sections[1:]),
        )
        for number in SECTIONS
    ]


def cell_words() -> dict[str, Text]:
    """Return the words of grids that the page knows, by their slugs."""
    return {name.removeprefix("cell-"): said for name, said in page().items() if name.startswith("cell-")}


def moment(when: str) -> str:
    """Write an ISO time without its seconds and offset: it is UTC."""
    return f"{when[:16].replace('T', ' ')} UTC"


def slug(name: str) -> str:
    """Make a name of the words in a cell of a grid: ``silently wrong`` is ``silently-wrong``."""
    return name.strip().lower().replace(" ", "-")


def rounds(raw: Sequence[Sequence[float]]) -> str:
    """Write raw numbers round by round: 1.2 / 3.4, 1.3 / 3.3."""
    return ",  ".join(" / ".join(f"{value:.4g}" for value in one) for one in raw)
