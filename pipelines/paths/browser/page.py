"""Opens a payload in a headless Chromium: predictions, and load tests on the page's own clock."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import SlipwayError
from pipelines.paths import Arrays, Session
from pipelines.paths.browser.chromium import Chromium, Event, PageError
from pipelines.paths.browser.runtimes import HERE
from pipelines.paths.browser.site import PayloadSite

if TYPE_CHECKING:
    import numpy as np

HARNESS = "harness.js"
EAGER = "--enable-blink-features=ForceEagerMeasureMemory"
"""The page's memory is measured when it is asked for; otherwise the browser waits for its next garbage collection."""
CLOCK_TRIES = 5
MOST_PROBLEMS = 5


class BrowserPage:
    """The page of a payload in a browser, its model loaded with ``threads`` threads.

    ``load_s`` is the time from the page's request until the model can be asked, ``first_s`` that of the first
    prediction, both by the page's clock; ``download_bytes`` are the bodies that were sent until then; ``requests``
    the addresses that the page asked for. Raises NotPossible where there is no browser, and SlipwayError for a model
    that cannot be loaded.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.requests: list[str] = []
        self._problems: list[str] = []
        self.first_s: float | None = None
        with ExitStack() as stack:
            site = PayloadSite(folder)
            stack.callback(site.close)
            self.chromium = stack.enter_context(Chromium(EAGER, hear=self._hear))
            self.chromium.open(f"{site.url}?threads={threads}")
            try:
                self.chromium.value((HERE / HARNESS).read_text() + "; null")
                facts = self.chromium.call("slipway", "ready")
            except PageError as error:
                raise SlipwayError("; ".join([f"the page failed: {error}", *self._problems])) from error
            if not facts["isolated"]:
                raise SlipwayError("the page is not isolated: threads do not work in it")
            self.load_s = facts["loaded_ms"] / 1e3
            self._site = site
            self.download_bytes = site.sent_bytes
            self._stack = stack.pop_all()

    def _hear(self, event: Event) -> None:
        name, params = event["method"], event.get("params", {})
        if name == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif name == "Log.entryAdded" and params["entry"]["level"] == "error":
            self._problems = [*self._problems, str(params["entry"]["text"])][-MOST_PROBLEMS:]

    def close(self) -> None:
        """End the browser and the site."""
        self._stack.close()

    def predict(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Answer one call; arrays in and out. Raises SlipwayError with the exception of the page."""
        try:
            answer = self.chromium.call("slipway", "predict", packed(inputs))
        except PageError as error:
            raise SlipwayError(f"the model in the browser failed: {error}") from error
        if self.first_s is None:
            self.first_s = answer["ms"] / 1e3
            self.download_bytes = self._site.sent_bytes
        return unpacked(answer["outputs"])

    def give(self, inputs: Sequence[Arrays]) -> None:
        """Hand over the inputs of the next load test."""
        self.chromium.call("slipway", "give", [packed(one) for one in inputs])

    def offer(self, plan: dict[str, Any], timeout_s: float, look: Callable[[], None]) -> dict[str, Any]:
        """Run a load test in the page, as harness.js describes ``plan``; ``look`` is called while it runs."""
        return dict(self.chromium.call("slipway", "offer", plan, timeout_s=timeout_s, look=look))

    def figures(self) -> dict[str, float | int]:
        """Return a row's figures by the page's own clock and count, after the first prediction."""
        if self.first_s is None:
            raise SlipwayError("the page has not predicted yet")
        return {
            "cold_start_s": self.load_s + self.first_s,
            "load_s": self.load_s,
            "first_call_s": self.first_s,
            "download_bytes": self.download_bytes,
            "page_memory_bytes": int(self.chromium.call("slipway", "memory")),
        }

    def zero_ns(self) -> int:
        """Return when the page's clock was 0, in the time of ``time.monotonic_ns``: to half a round trip."""
        found = []
        for _ in range(CLOCK_TRIES):
            before = time.monotonic_ns()
            now_ms = self.chromium.value("performance.now()")
            after = time.monotonic_ns()
            found.append((after - before, (before + after) // 2 - int(now_ms * 1e6)))
        return min(found)[1]


def open_page(folder: Path, threads: int) -> Session:
    """Open a payload in a browser. Raises NotPossible where there is none, SlipwayError for a page that fails."""
    page = BrowserPage(folder, threads)
    return Session(page.predict, page.close, page.chromium.processes, page)


def packed(arrays: Arrays) -> dict[str, Any]:
    """Return arrays as JSON carries them: dtype, shape, and the bytes (little-endian, in C order) in base64."""
    return {
        name: {
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "data": base64.b64encode(array.tobytes()).decode(),
        }
        for name, array in arrays.items()
    }


def unpacked(arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of an answer of harness.js."""
    import numpy as np

    return {
        name: np.frombuffer(base64.b64decode(one["data"]), one["dtype"]).reshape([int(size) for size in one["shape"]])
        for name, one in arrays.items()
    }
