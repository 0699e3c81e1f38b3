"""The page in a real browser: drawn, asked, tested under load, reloaded, by mouse and by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browsers import NEEDS_BROWSER
from web_client import Visitor
from web_tab import NAMELESS, OUTSIDE, PROTOCOLS, ROWS, SEVEN, Tab

pytestmark = NEEDS_BROWSER


def test_a_visitor_draws_asks_and_tests_under_load(
    visitor: Visitor, web_process: Any, turned_seven: Path, tmp_path: Path
) -> None:
    with Tab() as tab:
        tab.visit(web_process.address)
        assert tab.value("location.search") == ""
        assert tab.value("crossOriginIsolated") is True
        tab.until(lambda: tab.value("document.querySelectorAll('.card[data-state=ready]').length") == 1)

        tab.stroke(SEVEN)
        tab.value("document.getElementById('ask-drawing').click()")
        rows = tab.answers(0)
        assert [(row["label"], row["verdict"]) for row in rows] == [("7", "within")] * PROTOCOLS
        tab.choose("#picture", turned_seven)
        assert [row["label"] for row in tab.answers(1)] == ["7"] * PROTOCOLS
        tab.value("document.getElementById('ask-row').click()")
        assert [row["label"] for row in tab.answers(2)] == ["7"] * PROTOCOLS

        tab.value(f"{ROWS}[0].querySelector('button').click()")
        tab.until(lambda: tab.value("document.getElementById('call').open"))
        assert tab.value("document.getElementById('call-curl').textContent").count("curl ") == 1
        tab.value("document.getElementById('call-close').click()")

        tab.value("document.getElementById('seconds').value = 60")
        tab.value("document.getElementById('load-start').click()")
        drawn = "document.querySelectorAll('.curves .scatterlayer .trace').length"
        tab.until(lambda: tab.value(drawn) == 4)
        tab.reload()
        tab.until(lambda: tab.value(drawn) == 4)  # the reload sees what was before it
        tab.value("document.getElementById('load-stop').click()")
        tab.until(lambda: tab.value("document.querySelector('#load-status a') !== null"))
        (tmp_path / "light.png").write_bytes(tab.screenshot())
        assert tab.value(NAMELESS) == []
        assert tab.problems == []
        assert {url.split("/")[2] for url in tab.requests if url.startswith("http")} == {visitor.host}


def test_a_narrow_dark_page_is_used_by_keyboard_alone(visitor: Visitor, web_process: Any, tmp_path: Path) -> None:
    with Tab(width=390, height=844, scheme="dark") as tab:
        tab.visit(web_process.address)
        order = []
        focused = "document.activeElement.id || document.activeElement.textContent.trim()"
        while not order or order[-1] != "load-start":
            tab.press("Tab")
            order.append(tab.value(focused))
            assert len(order) < 60, order
            if order[-1] == "drawing":
                tab.press("ArrowUp", 7)
                tab.press(" ")
                tab.press("ArrowDown", 14)
            if order[-1] == "ask-drawing":
                tab.press("Enter")
                assert [row["label"] for row in tab.answers(0)] == ["1"] * PROTOCOLS
        assert [name for name in order if name in ("drawing", "ask-drawing", "picture", "row", "ask-row")] == [
            "drawing", "ask-drawing", "picture", "row", "ask-row",
        ]  # fmt: skip
        assert tab.value(OUTSIDE) == []
        assert tab.value("document.documentElement.scrollWidth") <= 390
        assert tab.value(NAMELESS) == []
        assert tab.value("getComputedStyle(document.body).backgroundColor") == "rgb(15, 18, 22)"
        (tmp_path / "dark.png").write_bytes(tab.screenshot())
        assert tab.problems == []
