"""The page in a real browser: drawn, asked, tested under load, reloaded, by mouse and by keyboard alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browsers import NEEDS_BROWSER
from patience import wait_for
from report_browser import Page
from web_client import Visitor

pytestmark = NEEDS_BROWSER
PROTOCOLS = 3
SEVEN = [(75, 70), (205, 70), (205, 75), (160, 140), (135, 225)]
"""The strokes of a seven, in pixels of the surface."""
ROWS = "[...document.querySelectorAll('#answers tbody tr[data-server]')]"
NAMELESS = """[...document.querySelectorAll("a, button, input, select, textarea, canvas, [tabindex]")].filter((one) => {
  if (one.closest("dialog:not([open])") || one.getClientRects().length === 0) return false;
  const label = one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent;
  return !label.trim();
}).map((one) => one.outerHTML.slice(0, 120))"""
OUTSIDE = """[...document.querySelectorAll("body *")].filter((one) => {
  if (one.closest(".box *, pre, .hidden, svg, dialog")) return false;
  return one.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map((one) => one.outerHTML.slice(0, 120))"""


class Tab(Page):
    """A page of the web instead of a file, with a mouse and a keyboard."""

    def until(self, condition: Any) -> None:
        wait_for(condition)

    def visit(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.until(lambda: self.value("document.documentElement?.dataset.ready === ''"))

    def reload(self) -> None:
        self.value("delete document.documentElement.dataset.ready")
        self.send("Page.reload")
        self.until(lambda: self.value("document.documentElement?.dataset.ready === ''"))

    def stroke(self, points: list[tuple[int, int]]) -> None:
        """Draw with the mouse on the surface."""
        self.value("document.getElementById('drawing').scrollIntoView({block: 'center'})")
        box = self.value("(({x, y}) => [x, y])(document.getElementById('drawing').getBoundingClientRect())")
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 2), "mouseReleased"]
        for kind, (x, y) in zip(kinds, points, strict=True):
            place = {"x": box[0] + x, "y": box[1] + y, "button": "left", "buttons": 1, "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, **place)

    def press(self, key: str, times: int = 1) -> None:
        code = {" ": 32, "Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}[key]
        text = {"text": {" ": " ", "Enter": "\r"}[key]} if key in (" ", "Enter") else {}
        for _ in range(times):
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def choose(self, selector: str, file: Path) -> None:
        """Choose a file as in the dialog of the browser."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def answers(self, before: int) -> list[dict[str, str]]:
        """What the rows say when one more input has been answered than ``before``."""
        self.until(lambda: self.value("Number(document.getElementById('answers').dataset.done ?? 0)") == before + 1)
        return self.value(f"{ROWS}.map((row) => ({{...row.dataset}}))")


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
