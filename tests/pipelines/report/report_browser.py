"""One page of a headless Chromium that gathers what goes wrong in it."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

from pipelines.paths.browser.chromium import Chromium

LIMIT_S = 60


class Page(Chromium):
    """One page of one browser with its own profile; ``problems`` gathers console errors and every request made."""

    def __init__(self, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        super().__init__("--disable-gpu", hear=self._look_at)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        self.scheme(scheme)

    def __enter__(self) -> Page:
        return self

    def scheme(self, name: str) -> None:
        """What ``prefers-color-scheme`` says: light or dark."""
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def open(self, file: Path) -> None:  # type: ignore[override]
        """Load a file and wait for its load event."""
        super().open(file.resolve().as_uri())

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def until(self, condition: Any) -> None:
        limit = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > limit:
                raise TimeoutError("the page did not load")

    def _look_at(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(str(params["args"]))
