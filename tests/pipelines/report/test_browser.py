"""The page in a real browser: no error, no request, no sideways scrolling, plots in both colour schemes."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsers import NEEDS_BROWSER
from report_browser import Page
from report_samples import REPORTS

from pipelines.report import html_face

pytestmark = NEEDS_BROWSER

OUTSIDE = """[...document.querySelectorAll("body *")].filter((element) => {
  if (element.closest(".box *, pre, .hidden, svg")) return false;
  return element.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map((element) => element.outerHTML.slice(0, 120))"""

# Texts of a plot that overlap each other or reach out of its picture.
CLASHES = """[...document.querySelectorAll(".plot")].flatMap((plot) => {
  const frame = plot.getBoundingClientRect();
  const kinds = ".annotation-text, .bartext, .xtick text, .xtitle, .legendtext";
  const texts = [...plot.querySelectorAll(kinds)].map((text) => {
    const box = text.getBoundingClientRect();
    return { text: plot.id + ": " + text.textContent, box };
  }).filter(({ box }) => box.width > 0);
  const out = texts.filter(({ box }) => box.left < frame.left - 1 || box.right > frame.right + 1 ||
    box.top < frame.top - 1 || box.bottom > frame.bottom + 1).map(({ text }) => text + " is cut");
  texts.forEach(({ text, box: a }, i) => texts.slice(i + 1).forEach(({ text: other, box: b }) => {
    if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom) {
      out.push(text + " overlaps " + other);
    }
  }));
  return out;
})"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The made-up reports as files."""
    folder = tmp_path_factory.mktemp("pages")
    files = {name: folder / f"{name}.html" for name in REPORTS}
    for name, file in files.items():
        html_face.write(REPORTS[name](), file)
    return files


@pytest.mark.parametrize("width", [390, 1280])
def test_every_report_fits_and_loads_nothing(pages: dict[str, Path], width: int) -> None:
    with Page(width=width) as page:
        for name, file in pages.items():
            page.requests.clear()
            page.open(file)
            page.value("document.querySelectorAll('details').forEach((one) => { one.open = true })")
            assert page.problems == [], name
            assert page.requests == [file.as_uri()], name
            assert page.value("innerWidth") == width, name
            assert page.value("document.documentElement.scrollWidth") <= width, name
            assert page.value(OUTSIDE) == [], name
            assert page.value(CLASHES) == [], name
            drawn = page.value(
                "[...document.querySelectorAll('.plot')].filter((one) => one.querySelector('svg')).length"
            )
            assert drawn == page.value("document.querySelectorAll('.plot').length"), name


def test_plots_follow_the_colour_scheme(pages: dict[str, Path]) -> None:
    with Page(scheme="light") as page:
        page.open(pages["full"])
        colour = "getComputedStyle(document.querySelector('.plot .bars path')).stroke"
        light = page.value(colour)
        page.scheme("dark")
        assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
        page.until(lambda: page.value(colour) != light)
        assert page.problems == []


PAPER_PX = 718
"""The width of A4 less the margins of page.css, 190 mm at 96 dots an inch."""


def test_paper_has_the_plots_in_light_colours_and_every_column(pages: dict[str, Path]) -> None:
    with Page(width=PAPER_PX, scheme="dark") as page:
        for name in ("full", "many", "ninety", "contained"):
            page.open(pages[name])
            page.send(
                "Emulation.setEmulatedMedia",
                media="print",
                features=[{"name": "prefers-color-scheme", "value": "dark"}],
            )
            page.value("dispatchEvent(new Event('beforeprint'))")
            assert (
                page.value("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#191d22"
            )
            wide = "[...document.querySelectorAll('.box, .plot, figure')].filter((one) => one.clientWidth &&"
            cut = page.value(f"{wide} one.scrollWidth > one.clientWidth + 1).map((one) => one.outerHTML.slice(0, 200))")
            assert cut == [], name
            assert page.value("document.documentElement.scrollWidth") <= PAPER_PX, name
            assert page.value(CLASHES) == [], name
            shown = "[...document.querySelectorAll('.plot svg.main-svg')].filter((one) => one.clientWidth > 300).length"
            assert page.value(shown) >= page.value("document.querySelectorAll('.plot').length") > 0, name
            page.value("dispatchEvent(new Event('afterprint'))")
            page.scheme("dark")
            assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
            assert page.problems == [], name


def test_a_click_on_a_header_sorts(pages: dict[str, Path]) -> None:
    cells = "[...document.querySelectorAll('#key table tbody tr')].map((row) => row.cells[9].dataset.v)"
    with Page() as page:
        page.open(pages["full"])
        for direction in (1, -1):
            page.value(
                "document.querySelectorAll('#key table thead tr:last-child th')[9].querySelector('button').click()"
            )
            values = page.value(cells)
            known = [float(value) for value in values if value]
            assert known == sorted(known, reverse=direction < 0)
            assert len(known) > 10
            assert set(values[len(known) :]) == {""}


def test_without_scripts_the_tables_are_there_and_the_plots_are_not(pages: dict[str, Path]) -> None:
    with Page() as page:
        page.send("Emulation.setScriptExecutionDisabled", value=True)
        page.open(pages["full"])
        assert page.value("document.querySelectorAll('#key table tbody tr').length") == 22
        assert page.value("getComputedStyle(document.querySelector('.plots')).display") == "none"
        assert page.value("document.querySelector('noscript').getBoundingClientRect().height") > 10


def test_the_filters_of_the_table_hide_rows_and_paper_shows_them(pages: dict[str, Path]) -> None:
    shown = "[...document.querySelectorAll('#rows tbody tr')].filter((row) => row.offsetHeight > 0).length"
    said = "document.querySelector('.filters output').textContent"

    def choose(name: str, value: str) -> str:
        return (
            f"(() => {{ const one = document.querySelector('.filters').elements.{name}; one.value = '{value}';"
            " one.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    with Page() as page:
        page.open(pages["full"])
        assert (page.value(shown), page.value(said)) == (22, "22 of 22 rows")
        page.value("document.querySelector('.filters').elements.lead.click()")
        paths = page.value("document.querySelectorAll('[data-for=rows] [name=path] option').length") - 1
        assert page.value(shown) == paths > 1
        page.value(choose("where", "in-process"))  # unfolds
        inside = page.value(shown)
        assert page.value(said) == f"{inside} of 22 rows"
        page.value(choose("path", "litert"))
        assert 0 < page.value(shown) <= inside
        page.value("dispatchEvent(new Event('beforeprint'))")
        assert page.value(shown) == 22
        assert page.problems == []


def seen(selector: str) -> str:
    """JavaScript for the elements of a selector that have a height."""
    return f"[...document.querySelectorAll({selector!r})].filter((one) => one.offsetHeight > 0)"


def each_tick(condition: str) -> str:
    """JavaScript that changes the ticks of lines for which a condition on ``one`` and its place ``at`` holds."""
    return f"[...document.querySelectorAll('.picks input')].filter((one, at) => {condition}).map((one) => one.click())"


SHOWN = f"{seen('#rows tbody tr')}.length"
# The rows whose lines a plot draws, each with its colour and dash.
DRAWN = """(() => {
  const { data } = document.getElementById("plot-tail");
  const lines = data.map((one) => [one.legendgroup, one.line.color, one.line.dash]);
  const paths = document.querySelectorAll("#plot-tail .scatterlayer .trace").length;
  return { lines, paths };
})()"""
TICKED = "[...document.querySelectorAll('.picks :checked')].map((one) => one.value)"


def drawn(page: Page) -> list[str]:
    """The rows whose lines are there, in all plots of lines alike, and no two of one look."""
    found = page.value(DRAWN)
    rows = [name for name, _, _ in found["lines"]]
    assert len(rows) == found["paths"]
    assert len({(colour.removesuffix("80"), dash) for _, colour, dash in found["lines"]}) == len(rows)
    assert sorted(rows) == sorted(page.value(TICKED))
    for plot, lines in (("curve", 2), ("timeline", 2)):
        there = page.value(f"document.getElementById('plot-{plot}').data.map((one) => one.legendgroup)")
        assert sorted(there) == sorted(rows * lines)
    return rows


def press(page: Page, key: str, code: int, text: str = "") -> None:
    for kind in ("keyDown", "keyUp"):
        page.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)


def test_lines_are_of_the_winner_and_the_runner_up_until_others_are_ticked(pages: dict[str, Path]) -> None:
    report = REPORTS["ninety"]()
    with Page() as page:
        page.open(pages["ninety"])
        first = drawn(page)
        assert len(first) == 2
        assert report.recommendation.row in first
        assert next(name for name in first if name != report.recommendation.row) in report.recommendation.reason
        page.value("document.querySelectorAll('.picks label')[4].click()")
        assert len(drawn(page)) == 3
        page.value("document.querySelectorAll('.picks input')[4].focus()")
        press(page, "Tab", 9)
        press(page, " ", 32, " ")
        assert len(drawn(page)) == 4
        press(page, " ", 32, " ")
        page.value("document.querySelectorAll('.picks label')[4].click()")
        assert sorted(drawn(page)) == sorted(first)
        page.value("document.querySelector('.picks [data-of=lead]').click()")
        assert len({name.split()[0] for name in drawn(page)}) == 15
        page.value(each_tick("!one.checked && at < 9"))
        assert len(drawn(page)) > 15
        page.value("document.querySelector('.picks [data-of=leader]').click()")
        assert sorted(drawn(page)) == sorted(first)
        assert page.problems == []


def test_a_line_keeps_its_dash_while_others_come_and_go(pages: dict[str, Path]) -> None:
    def looks_of_lines(page: Page) -> dict[str, str]:
        return {name: dash for name, _, dash in page.value(DRAWN)["lines"]}

    with Page() as page:
        page.open(pages["ninety"])
        path = page.value(f"{TICKED}[0]").split()[0]
        page.value(each_tick(f"!one.checked && one.value.startsWith({path + ' '!r})"))
        before = looks_of_lines(page)
        page.value("document.querySelectorAll('.picks input')[0].click()")
        after = looks_of_lines(page)
        assert len(after) == len(before) - 1
        assert after.items() <= before.items()


def test_a_path_unfolds_below_its_best_row(pages: dict[str, Path]) -> None:
    with Page() as page:
        page.open(pages["ninety"])
        assert page.value(SHOWN) == 15
        page.value("document.querySelector('#rows .more').click()")
        assert page.value(SHOWN) == 15 + 5
        assert page.value("document.querySelector('#rows .more').getAttribute('aria-expanded')") == "true"
        first = page.value(f"{seen('#rows tbody tr')}.slice(0, 7).map((row) => row.dataset.path)")
        assert len(set(first[:6])) == 1
        assert first[6] != first[0]
        page.value("document.querySelector('#rows .more').click()")
        assert page.value(SHOWN) == 15
        tables = "[...document.querySelectorAll('#loads table.sortable')]"
        assert (
            page.value(f"{tables}.map((one) => [...one.tBodies[0].rows].filter((row) => row.offsetHeight).length)")
            == [15] * 3
        )


def test_paper_has_all_rows_and_open_details_and_no_controls(pages: dict[str, Path]) -> None:
    hidden = "[...document.querySelectorAll('tbody tr, details > *')].filter((one) => !one.offsetHeight).length"
    controls = f"{seen('nav, select, input, .more, .picks button')}.length"
    closed = "document.querySelectorAll('details:not([open])').length"
    with Page(width=PAPER_PX) as page:
        page.open(pages["ninety"])
        before = page.value(closed)
        assert min(before, page.value(hidden), page.value(controls)) > 0
        page.send("Emulation.setEmulatedMedia", media="print")
        page.value("dispatchEvent(new Event('beforeprint'))")
        assert [page.value(one) for one in (hidden, controls, closed)] == [0, 0, 0]
        assert page.value(SHOWN) == 90
        assert page.value(f"{seen('.picks li')}.length") == len(drawn(page)) == 2
        page.value("dispatchEvent(new Event('afterprint'))")
        assert page.value(closed) == before


def test_a_phone_shows_p99_beside_the_name(pages: dict[str, Path]) -> None:
    with Page(width=390) as page:
        page.open(pages["ninety"])
        headers = page.value(
            "[...document.querySelectorAll('#rows thead tr:last-child th')].slice(0, 3)"
            ".map((one) => [one.innerText, one.getBoundingClientRect().right])"
        )
        assert [text.split()[0] for text, _ in headers] == ["Row", "Status", "p99"]
        assert headers[2][1] <= 390 - 14
