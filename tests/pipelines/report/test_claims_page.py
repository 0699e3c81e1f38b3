"""The page of the claims: what it shows of each outcome, in both languages, and how it behaves in a real browser."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browsers import NEEDS_BROWSER
from claims_samples import FAILED, PLOTS, SAYS, VOID, view, views
from report_browser import Page
from test_browser import CLASHES, OUTSIDE, PAPER_PX

from pipelines.claims import CLAIMS, WORDS
from pipelines.claims.plots import Bars, Dumbbells, Grid, Lines, Plot, Point, Timeline
from pipelines.claims.texts import page as page_texts
from pipelines.report import claims_page
from pipelines.report.claims_facts import MOST_ROWS, blocks
from pipelines.report.claims_figures import drawn
from pipelines.report.numbers import sentence_and_log

REPORT = Path(claims_page.__file__).parent


@pytest.fixture(scope="module")
def html() -> str:
    return claims_page.render(views())


class Texts(HTMLParser):
    """The text of each claim, by its id and by language: what is in a span of the other one is left out."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, dict[str, str]] = {}
        self.claim = ""
        self.spans: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "article":
            self.claim = given["id"] or ""
            self.found[self.claim] = {"en": "", "zh": ""}
        if tag == "span":
            self.spans.append(given.get("class") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self.claim = ""
        if tag == "span":
            self.spans.pop()

    def handle_data(self, data: str) -> None:
        for language, other in (("en", "zh"), ("zh", "en")):
            if self.claim and other not in self.spans:
                self.found[self.claim][language] += data


@pytest.fixture(scope="module")
def texts(html: str) -> dict[str, dict[str, str]]:
    return Texts(html).found


def test_every_claim_is_there_once_with_its_words_in_both_languages(texts: dict[str, dict[str, str]]) -> None:
    assert sorted(texts) == sorted(CLAIMS)
    for one in views():
        shown = texts[one.line.id]
        for language in ("en", "zh"):
            wanted = [one.words.original, getattr(one.words.sentence, language), getattr(one.words.rule, language)]
            wanted += [getattr(one.words.confounds, language), getattr(one.words.changes, language)]
            wanted += [f"slipway claims run {one.line.id}"]
            if one.line.says is not None:
                wanted += [getattr(one.line.says, language), one.line.number]
            assert [text for text in wanted if text not in shown[language]] == []
        assert one.words.rule.zh not in shown["en"]
        assert one.words.rule.en not in shown["zh"]


def test_every_outcome_is_a_word_and_an_icon_beside_its_colour(html: str, texts: dict[str, dict[str, str]]) -> None:
    names = {claims_page.outcome(one) for one in views()}
    assert names == {*WORDS.values(), "none"}
    for one in views():
        name = claims_page.outcome(one)
        head = texts[one.line.id]["en"].partition("“")[0]
        assert page_texts()[f"outcome-{name}"].en in head
    for name in names:
        assert f'<symbol id="i-{name}"' in html
        assert f'<span class="badge {name}"><svg class="icon" aria-hidden="true"><use href="#i-{name}"/>' in html


def test_the_head_counts_the_verdicts_and_says_where_and_when(html: str) -> None:
    counted = {name: int(count) for name, count in re.findall(r'<li class="badge ([\w-]+)"><b>(\d+)</b>', html)}
    assert counted == dict(claims_page.counts(views()))
    assert sum(counted.values()) == len(CLAIMS)
    assert counted["none"] == len(CLAIMS) - len(SAYS) - 2
    assert "12 of 40 claims have a measurement. First 2026-11-29 12:21 UTC" in html
    assert "Intel(R) Xeon(R) Processor @ 2.80GHz, 2 cores, 8.3 GB" in html
    assert "keras 3.15.1, tensorflow 2.21.0, torch 2.13.0+cpu" in html


def test_more_than_one_machine_is_said() -> None:
    found = views()
    several = page_texts()["head-machines"].en
    assert several not in claims_page.render(found)
    entry = next(one.entry for one in found if one.entry is not None)
    other = replace(entry, machine=replace(entry.machine, cpu="Another Processor"))
    changed = [replace(one, entry=other) if one.entry is entry else one for one in found]
    assert several in claims_page.render(changed)


def test_stale_void_failed_and_missing_are_said(texts: dict[str, dict[str, str]]) -> None:
    said = {name: page_texts()[f"claim-{name}"].en for name in ("stale", "sound", "not-measured", "quick")}
    assert [name for name in texts if said["stale"] in texts[name]["en"]] == ["P2"]
    assert VOID in texts["D1"]["en"]
    assert said["sound"] in texts["D1"]["en"]
    assert texts["P4"]["en"].count(VOID) == 1
    assert said["sound"] not in texts["P4"]["en"]
    sentence, log = sentence_and_log(FAILED)
    assert texts["S5"]["en"].count(sentence) == 1
    assert texts["S5"]["en"].partition(page_texts()["fold-log"].en)[2].startswith(log)
    assert "reports/claims/S5/log.txt" in texts["S5"]["en"]
    assert "the newest is 1.17.1" in texts["E1"]["en"]
    assert said["not-measured"] in texts["D2"]["en"]
    assert said["quick"] in texts["S5"]["en"]
    assert said["quick"] not in texts["P1"]["en"]


def test_a_claim_shows_readings_facts_and_what_others_measured_marked_as_theirs(
    texts: dict[str, dict[str, str]],
) -> None:
    shown, zh = texts["P1"]["en"], texts["P1"]["zh"]
    for wanted in ("0.653", "0.614–0.692", "93 %", "0.6269 / 0.988", "34 lines", "torch eager, measured twice"):
        assert wanted in shown
    for wanted in ("graph breaks", "9.812", "small CNN", "deprecated. Please switch", "20261129", "1 min 33 s"):
        assert wanted in shown
    assert "compiledyes" in re.sub(r"\s", "", shown)
    assert "compiled是" in re.sub(r"\s", "", zh)
    theirs = shown.partition(page_texts()["elsewhere-note"].en)[2]
    assert "keras-team/keras-io, benchmarks page, 2023" in theirs
    assert page_texts()["sign-contradicts"].en in theirs
    assert "reports/mnist_cnn/20261129T101500Z" in texts["H2"]["en"]


def test_foreign_text_is_escaped_and_the_policy_forbids_every_address(html: str) -> None:
    assert "<script>alert" not in html
    assert '<img src="https://example.invalid' not in html
    assert 'content="default-src &#39;none&#39;; style-src' in html
    assert not re.search(r'(?:src|href)="(?!#)', html.partition("<script")[0])


def test_sections_follow_the_article_and_lead_to_what_they_repeat() -> None:
    found = claims_page.sections(views())
    assert [one.number for one in found] == list(range(1, 9))
    assert sorted(one.line.id for section in found for one in section.claims) == sorted(CLAIMS)
    assert [one.line.id for one in found[0].claims] == ["D1", "D2", "D3", "D4", "D5"]
    repeated = {section.number: [one.line.id for one in section.also] for section in found}
    assert repeated[6] == [name for name in CLAIMS if 6 in view(name).line.sections[1:]]
    assert repeated[6]


def test_no_sentence_stands_in_the_template() -> None:
    source = (REPORT / "claims_page.html").read_text()
    bare = re.sub(r"{%.*?%}|{{.*?}}|<style>.*?</style>", "", source, flags=re.DOTALL)
    words = set(re.findall(r"[^\W\d_]+", re.sub(r"<[^>]*>", " ", bare)))
    assert words == {"slipway", "claims", "run", "again", "EN", "中文"}


def test_every_text_of_the_page_is_in_both_languages_and_used() -> None:
    for name, text in page_texts().items():
        assert text.en.strip(), name
        assert re.search("[\u4e00-\u9fff]", text.zh), name
        places = [sorted(re.findall(r"{(\w+)}", one)) for one in (text.en, text.zh)]
        assert places[0] == places[1], name
    source = "".join((REPORT / name).read_text() for name in ("claims_page.html", "claims_page.py"))
    source += "".join((REPORT / name).read_text() for name in ("claims_figures.py", "claims_facts.py"))
    made = ("verdict-", "outcome-", "section-", "cell-", "sign-", "effort-", "claim-quick", "claim-tiny", "yes", "no")
    unused = [name for name in page_texts() if f'"{name}"' not in source and not name.startswith(made)]
    assert unused == []


# -- Plots ----------------------------------------------------------------------------------------------------------


def test_every_kind_of_plot_is_drawn(html: str, texts: dict[str, dict[str, str]]) -> None:
    kinds = {type(plot) for plot in PLOTS.values()}
    assert kinds == {Dumbbells, Lines, Grid, Bars, Timeline}
    for name, plot in PLOTS.items():
        assert (f'id="plot-{name}"' in html) == (not isinstance(plot, Grid))
    for word in ("ok", "refused", "silently-wrong", "failed", "skipped"):
        assert f'<span class="cell {word}">' in html
        assert f'<symbol id="i-cell-{word}"' in html
    assert "无提示地出错" in texts["H2"]["zh"]
    assert "2 of 3" in texts["H2"]["en"]


def figure_of(plot: Plot) -> Any:
    found = drawn("X", plot).figure
    assert found is not None
    return found


def test_dumbbells_have_hollow_controls_a_line_and_the_value_of_each_row() -> None:
    points = (Point("a", 0.5, 0.4, 0.6), Point("b", 1.06, hollow=True), Point("none", 0.0))
    figure = figure_of(Dumbbells(points, "ratio", line=1.0))
    marks = [one for one in figure.data if one["mode"] == "markers"]
    assert [one["marker"]["symbol"] for one in marks] == ["circle", "circle-open"]  # zero has no place on the axis
    assert [one["x"] for one in figure.data if one["mode"] == "lines"] == [[0.4, 0.6]]
    assert figure.layout["xaxis"]["type"] == "log"
    low, high = figure.layout["xaxis"]["range"]
    assert 10**low < 0.4 < 1.06 < 10**high
    assert [shape["x0"] for shape in figure.layout["shapes"]] == [1.0]
    assert {"0.5 [0.4, 0.6]", "1.06", "0"} <= {one["text"] for one in figure.layout["annotations"]}
    assert figure.label == "ratio. a: 0.5 [0.4, 0.6]; b: 1.06; none: 0"


def test_the_value_of_a_small_ratio_fits_beside_its_row() -> None:
    figure = figure_of(Dumbbells((Point("a", 0.05764, 0.04153, 0.07022), Point("b", 0.653, 0.621, 0.702)), "ratio"))
    assert {"0.058 [0.042, 0.07]", "0.653 [0.621, 0.702]"} <= {one["text"] for one in figure.layout["annotations"]}


@pytest.mark.parametrize("ends", [(0.999, 1.001), (0.9, 1.3), (0.2, 6.0), (1e-4, 1e4)])
def test_an_axis_of_ratios_has_a_few_ticks_however_long_it_is(ends: tuple[float, float]) -> None:
    axis = figure_of(Dumbbells((Point("a", ends[0]), Point("b", ends[1])), "ratio")).layout["xaxis"]
    inside = [tick for tick in axis["tickvals"] if axis["range"][0] <= math.log10(tick) <= axis["range"][1]]
    assert 2 <= len(inside) <= 9
    assert len(set(axis["ticktext"])) == len(axis["ticktext"])


def test_marks_of_lines_are_numbered_and_none_covers_another() -> None:
    found = drawn(
        "X", Lines({"a": ((1.0, 1.0), (1_000.0, 2.0))}, "x", "y", {"kill": 500.0, "again": 505.0}, log_x=True)
    )
    assert [(one.number, one.where, one.what) for one in found.places] == [(1, "500", "kill"), (2, "505", "again")]
    assert found.figure is not None
    assert [shape["x0"] for shape in found.figure.layout["shapes"]] == [500.0, 505.0]
    heights = [one["yshift"] for one in found.figure.layout["annotations"]]
    assert heights[0] != heights[1]


def test_a_timeline_lists_what_happened_in_its_order() -> None:
    plot = Timeline({"w": ((2.0, "kill"), (0.0, "start"))}, {"w": ((0.0, 2.0, "steps"),), "v": ((2.5, 3.0, "again"),)})
    found = drawn("X", plot)
    said = [(one.number, one.where, one.what) for one in found.places]
    assert said == [(1, "0–2 s", "w: steps"), (2, "0 s", "w: start"), (3, "2 s", "w: kill"), (4, "2.5–3 s", "v: again")]


def test_bars_say_their_values_and_a_log_axis_skips_what_has_no_place_on_it() -> None:
    figure = figure_of(Bars({"a": 13.6, "b": 968.0, "none": 0.0}, "MB", log=True))
    assert figure.data[0]["x"] == [13.6, 968.0]
    assert {"13.6", "968", "0"} <= {one["text"] for one in figure.layout["annotations"]}
    assert 10 ** figure.layout["xaxis"]["range"][0] < 13.6
    assert figure_of(Bars({"a": 2.0}, "n")).layout["xaxis"]["range"][0] == 0


@pytest.mark.parametrize(
    "plot", [Lines({}, "x", "y", {}), Bars({}, "n", log=True), Timeline({}, {}), Dumbbells((), "r")]
)
def test_a_plot_of_nothing_is_an_empty_one(plot: Plot) -> None:
    assert figure_of(plot).layout["height"] > 0


def test_facts_of_any_shape_are_shown_and_long_ones_are_cut() -> None:
    rows = [{"n": n, "ok": n % 2 == 0} for n in range(MOST_ROWS + 3)]
    short, table, other = blocks({"a": 1.23456, "rows": rows, "deep": [{"x": [{}]}]})
    assert [[cell.en for cell in row] for row in short.rows] == [["a", "1.235"]]
    assert (len(table.rows), table.left_out, table.headers) == (MOST_ROWS, 3, ("n", "ok"))
    assert [cell.zh for cell in table.rows[1]] == ["1", "否"]
    assert '"x"' in other.code


# -- In a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(html: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("claims") / "claims.html"
    file.write_text(html)
    return file


@pytest.fixture
def opened(file: Path) -> Iterator[Page]:
    with Page() as page:
        page.open(file)
        yield page
        assert page.problems == []


class TestInABrowser:
    pytestmark = NEEDS_BROWSER

    @pytest.mark.parametrize("width", [390, 1280])
    def test_it_fits_loads_nothing_and_draws_every_plot(self, file: Path, width: int) -> None:
        with Page(width=width) as page:
            page.open(file)
            for language in ("en", "zh"):
                page.value(f"document.querySelector('[data-to={language}]').click()")
                page.value("document.querySelectorAll('details').forEach((one) => { one.open = true })")
                assert page.value("innerWidth") == width
                assert page.value("document.documentElement.scrollWidth") <= width
                assert page.value(OUTSIDE) == []
                assert page.value(CLASHES) == []
            drawn = "[...document.querySelectorAll('.plot')].filter((one) => one.querySelector('svg')).length"
            assert page.value(drawn) == len([plot for plot in PLOTS.values() if not isinstance(plot, Grid)])
            assert page.requests == [file.as_uri()]
            assert page.problems == []

    def test_the_language_changes_everything_and_the_address_keeps_it(self, opened: Page) -> None:
        shown = (
            "[...document.querySelectorAll('.en, .zh')].filter((one) => one.checkVisibility()).map((one) => one.lang)"
        )
        assert set(opened.value(shown)) == {"en"}
        opened.value("document.querySelector('[data-to=zh]').click()")
        assert set(opened.value(shown)) == {"zh-Hans"}
        assert opened.value("document.documentElement.lang") == "zh-Hans"
        assert opened.value("location.hash") == "#zh"
        pressed = "[...document.querySelectorAll('.switch [aria-pressed=true]')].map((one) => one.textContent)"
        assert opened.value(pressed) == ["中文"]
        opened.value("document.querySelector('.contents a[href=\"#P1\"]').click()")
        opened.until(lambda: opened.value("location.hash") == "#zh/P1")
        opened.value("window.before = true; location.reload()")
        opened.until(lambda: opened.value("window.before === undefined && document.readyState === 'complete'"))
        assert opened.value("document.documentElement.dataset.lang") == "zh"
        top = "Math.round(document.getElementById('P1').getBoundingClientRect().top)"
        opened.until(lambda: 0 <= opened.value(top) <= 60)
        opened.value("document.querySelector('[data-to=en]').click()")
        assert opened.value("location.hash") == "#en/P1"

    def test_a_link_to_a_claim_from_elsewhere_shows_it(self, opened: Page, file: Path) -> None:
        opened.send("Page.navigate", url=f"{file.as_uri()}#V3")
        opened.until(lambda: 0 <= opened.value("document.getElementById('V3').getBoundingClientRect().top") <= 60)

    def test_keys_and_buttons_step_from_section_to_section(self, opened: Page) -> None:
        def press(key: str, **options: bool) -> None:
            given = "".join(f", {name}: {str(value).lower()}" for name, value in options.items())
            opened.value(f"dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}'{given} }}))")

        def hash_is(place: str) -> bool:
            return bool(opened.value("location.hash") == f"#en/{place}")

        press("j")
        assert hash_is("section-1")
        press("ArrowRight")
        assert hash_is("section-2")
        top = opened.value("document.getElementById('section-2').getBoundingClientRect().top")
        assert 0 <= top <= 60
        assert "Deployment and debugging" in opened.value("document.querySelector('.where').innerText")
        current = "document.querySelector('.contents [aria-current]').hash"
        assert opened.value(current) == "#section-2"
        press("j", ctrlKey=True)
        assert hash_is("section-2")
        press("n")
        assert hash_is("S1")
        press("n")
        assert hash_is("S2")
        press("p")
        assert hash_is("S1")
        press("k")
        assert hash_is("section-1")
        opened.value("document.querySelector('[data-step=\"1\"]').click()")
        assert hash_is("section-2")
        for _ in range(9):
            press("ArrowRight")
        assert hash_is("section-8")
        for _ in range(9):
            press("ArrowLeft")
        assert opened.value("scrollY") == 0

    def test_badges_and_words_have_enough_contrast_in_both_schemes(self, file: Path) -> None:
        """At least 4.5 (WCAG 2.2, 1.4.3): the colours as the browser has computed them."""
        light = """(text) => { const [r, g, b] = text.match(/[\\d.]+/g).map((part) => part / 255)
          .map((one) => one <= .04045 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4);
          return .2126 * r + .7152 * g + .0722 * b; }"""
        measure = f"""(() => {{ const light = {light};
          return [...document.querySelectorAll('.badge, .chip, .cell, .mark-line, .says .number')].map((one) => {{
            const style = getComputedStyle(one);
            let under = one;
            while (getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)') under = under.parentElement;
            const pair = [light(style.color), light(getComputedStyle(under).backgroundColor)].sort((a, b) => b - a);
            return [one.className, (pair[0] + .05) / (pair[1] + .05)];
          }}); }})()"""
        for scheme in ("light", "dark"):
            with Page(scheme=scheme) as page:
                page.open(file)
                found = page.value(measure)
            assert {name.split()[-1] for name, _ in found} >= {*WORDS.values(), "none", "refused", "silently-wrong"}
            assert [(name, ratio) for name, ratio in found if ratio < 4.5] == [], scheme

    def test_paper_has_everything_unfolded_in_light_colours(self, file: Path) -> None:
        with Page(width=PAPER_PX, scheme="dark") as page:
            page.open(file)
            dark = [{"name": "prefers-color-scheme", "value": "dark"}]
            page.send("Emulation.setEmulatedMedia", media="print", features=dark)
            page.value("document.querySelector('#P1 details').open = true")
            page.value("dispatchEvent(new Event('beforeprint'))")
            assert page.value("document.querySelectorAll('details:not([open])').length") == 0
            hidden = (
                "[...document.querySelectorAll('.claim dd, .claim td')].filter((one) => !one.checkVisibility()).length"
            )
            assert page.value(hidden) == 0
            assert (
                page.value("getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()") == "#191d22"
            )
            wide = "[...document.querySelectorAll('.box, .plot, figure')].filter((one) => one.clientWidth &&"
            assert page.value(f"{wide} one.scrollWidth > one.clientWidth + 1).map((one) => one.outerHTML)") == []
            assert page.value("document.documentElement.scrollWidth") <= PAPER_PX
            assert page.value(CLASHES) == []
            assert not page.value("document.querySelector('.bar').checkVisibility()")
            page.value("dispatchEvent(new Event('afterprint'))")
            assert page.value("document.querySelectorAll('details[open]').length") == 1
            assert page.problems == []

    def test_without_scripts_it_is_whole_in_english(self, file: Path) -> None:
        with Page() as page:
            page.send("Emulation.setScriptExecutionDisabled", value=True)
            page.open(file)
            assert page.value("document.querySelectorAll('article.claim').length") == len(CLAIMS)
            assert page.value("document.querySelector('.zh').checkVisibility()") is False
            assert page.value("document.querySelector('noscript').getBoundingClientRect().height") > 10
            assert page.value("document.querySelector('.bar').checkVisibility()") is False
