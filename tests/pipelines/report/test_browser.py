"""The page in a real browser: no error, no request, no sideways scrolling, plots in both colour schemes."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_browser import CHROMIUM, Page
from report_samples import REPORTS

from pipelines.report import html_face

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH; run: apt-get install chromium"),
]

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
        for name in ("full", "many", "contained"):
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
        paths = page.value("document.querySelectorAll('.filters select[name=path] option').length") - 1
        assert page.value(shown) == paths > 1
        page.value(choose("where", "in-process"))  # unfolds
        inside = page.value(shown)
        assert page.value(said) == f"{inside} of 22 rows"
        page.value(choose("path", "litert"))
        assert 0 < page.value(shown) <= inside
        page.value("dispatchEvent(new Event('beforeprint'))")
        assert page.value(shown) == 22
        assert page.problems == []
