"""A tab of a headless Chromium that visits the page: what the tests of the page do in it and look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from patience import wait_for
from report_browser import Page

PROTOCOLS = 3
"""Of ONNX Runtime's server."""
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
