"""Writes the pictures in the docs: the report of the last run of mnist_cnn, and the page of ``slipway web``.

It starts the page of a workspace in which ``slipway run mnist_cnn`` has run, and needs a Chromium:

    python benchmarks/screenshots.py [--workspace FOLDER]
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from pipelines.paths.browser.chromium import Chromium

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SERVED = ("tf-serving:fp32", "torchserve:export", "onnxruntime:pytorch")
IN_BROWSER = ("tfjs:fp32", "onnxruntime-web:fp32", "litert-web:fp32")
LIMIT_S = 120
COLOURS = 256
REDRAWN_MS = 2_000
"""Curves take the colours of the new scheme at their next drawing, twice a second."""
SEVEN = [(75, 70), (205, 70), (205, 75), (160, 140), (135, 225)]


class Camera(Chromium):
    """A page that is looked at."""

    def __enter__(self) -> Camera:
        return self

    def size(self, width: int, height: int, scheme: str) -> None:
        """Set the size of the window in pixels, and the colour scheme that the page is asked for."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def until(self, condition: str) -> None:
        """Wait for a JavaScript condition. Raises TimeoutError."""
        end = time.monotonic() + LIMIT_S
        while not self.value(condition):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.1)

    def draw(self, points: list[tuple[int, int]]) -> None:
        """Draw on the surface with the mouse."""
        self.value("document.getElementById('drawing').scrollIntoView({block: 'center'})")
        box = self.value("(({x, y}) => [x, y])(document.getElementById('drawing').getBoundingClientRect())")
        kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 2), "mouseReleased"]
        for kind, (x, y) in zip(kinds, points, strict=True):
            place = {"x": box[0] + x, "y": box[1] + y, "button": "left", "buttons": 1, "clickCount": 1}
            self.send("Input.dispatchMouseEvent", type=kind, **place)

    def picture(self, name: str, height: int | None = None) -> None:
        """Write the page, or its first ``height`` pixels, to docs/NAME."""
        data = base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        with Image.open(io.BytesIO(data)) as whole:
            shown = whole.crop((0, 0, whole.width, min(height or whole.height, whole.height)))
            shown.convert("RGB").quantize(COLOURS).save(DOCS / name, optimize=True)
        print(DOCS / name)


@contextmanager
def page(workspace: Path) -> Iterator[str]:
    """Start the page of ``slipway web``; yield its address."""
    words = [word for name in (*SERVED, *IN_BROWSER) for word in ("--serve", name)]
    command = [sys.executable, "-m", "pipelines", "--workspace", str(workspace), "web", "mnist_cnn", "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_S)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--workspace", type=Path, default=ROOT)
    workspace = parser.parse_args().workspace.absolute()
    with Camera() as camera:
        camera.size(1280, 900, "light")
        camera.open((workspace / "reports/mnist_cnn/latest/report.html").resolve().as_uri())
        camera.until("document.querySelectorAll('.scatterlayer .trace').length > 0")
        camera.picture("report.png", 2450)
        with page(workspace) as address:
            camera.send("Page.navigate", url=address)
            camera.until("document.documentElement?.dataset.ready === ''")
            camera.until(f"document.querySelectorAll('.card[data-state=ready]').length === {len(SERVED)}")
            camera.draw(SEVEN)
            camera.value("document.getElementById('ask-drawing').click()")
            camera.until("document.getElementById('answers').dataset.done === '1'")
            camera.picture("web-try.png", 3000)
            camera.value("document.querySelectorAll('.picks input').forEach((one) => { one.checked = true })")
            camera.value("document.getElementById('seconds').value = 3")
            camera.value("document.getElementById('load-start').click()")
            camera.until("document.querySelector('#load-status a') !== null")
            camera.size(1280, 900, "dark")
            camera.value("document.querySelector('section[aria-labelledby=servers]').hidden = true")
            camera.value("document.querySelector('section[aria-labelledby=try]').hidden = true")
            camera.value(f"new Promise((done) => setTimeout(done, {REDRAWN_MS}))")
            camera.picture("web-load.png", 1400)
            camera.value("document.querySelectorAll('section[hidden]').forEach((one) => { one.hidden = false })")
            camera.size(390, 844, "dark")
            camera.picture("web-phone.png", 2600)


if __name__ == "__main__":
    main()
