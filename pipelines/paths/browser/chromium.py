"""A headless Chromium with a profile of its own and one page, driven by its DevTools protocol over a pipe.

A pipe has no port that others could use, and Chromium ends when it is closed, however this process ends.
Commands: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from pipelines.base.errors import NotPossible, SlipwayError
from pipelines.fairness.processes import tree
from serving.guard import interrupts_deferred, tied

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLAYWRIGHTS = "ms-playwright/chromium*-*/chrome*-linux*/*chrome*"
"""Where `playwright install chromium` puts it, below the user's cache: https://playwright.dev/docs/browsers"""
FLAGS = (
    "--headless",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",  # in a container, /dev/shm may hold 64 MB
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    # Nothing outside this machine can be reached: a page that needs a network fails.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
LIMIT_S = 120.0
GRACE_S = 10.0
LOOK_S = 0.2
LEAST_DESCRIPTOR = 20  # well above the two that the browser expects
PLACE_PIPES = "import os, sys; [os.dup2(int(sys.argv[i]), i + 2) for i in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"
"""The browser reads its descriptor 3 and writes its descriptor 4."""
Event = dict[str, Any]


class PageError(SlipwayError):
    """A page threw an exception; the text is the exception's."""


def find() -> str:
    """Return the path of a Chromium. Raises NotPossible, with the command that installs one."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        files = (file for file in sorted(cache.glob(PLAYWRIGHTS)) if os.access(file, os.X_OK) and file.is_file())
        found = next(map(str, files), None)
    if found is None:
        raise NotPossible(
            f"no browser: none of {', '.join(NAMES)} is on PATH. Install one with: apt-get install chromium"
        )
    return found


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class Chromium:
    """A browser and its page, from the beginning of the block to its end; nothing of it is left behind.

    ``hear`` gets every event of the protocol. Raises NotPossible where there is no Chromium.
    """

    def __init__(self, *flags: str, hear: Callable[[Event], None] = lambda event: None) -> None:  # noqa: ARG005
        self._hear = hear
        self._number = 0
        self._buffer = bytearray()
        self._session: str | None = None
        program = find()
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        to_browser, self._out = _pipe()
        self._in, from_browser = _pipe()
        sandbox = ("--no-sandbox",) if os.getuid() == 0 else ()  # it cannot be used by root
        placed = (sys.executable, "-S", "-c", PLACE_PIPES, str(to_browser), str(from_browser))
        with interrupts_deferred():
            self.process = subprocess.Popen(
                tied([*placed, program, *FLAGS, *sandbox, *flags, f"--user-data-dir={self._profile.name}"]),
                pass_fds=(to_browser, from_browser),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        os.close(to_browser)
        os.close(from_browser)
        try:
            target = self.send("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.send(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def processes(self) -> tuple[int, ...]:
        """The process numbers of the browser: its own, the page's, the GPU's and others."""
        return tuple(process.pid for process in tree(self.process.pid))

    def close(self) -> None:
        """End every process of the browser, and remove its profile."""
        if self._out < 0:
            return
        processes = tree(self.process.pid)
        self._session = None
        with suppress(SlipwayError, OSError):
            self.send("Browser.close", timeout_s=GRACE_S)
            self.process.wait(GRACE_S)
        for end in (self._in, self._out):
            os.close(end)
        self._in = self._out = -1
        for process in psutil.wait_procs(processes, timeout=1)[1]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._profile.cleanup()

    def open(self, address: str) -> None:
        """Open an address, and wait for the page's load event. Raises SlipwayError if it cannot be reached."""
        failed = self.send("Page.navigate", url=address).get("errorText")
        if failed:
            raise SlipwayError(f"the browser cannot open {address}: {failed}")
        end = time.monotonic() + LIMIT_S
        there = f"document.readyState == 'complete' && location.href.startsWith({json.dumps(address)})"
        while not self.value(there):
            if time.monotonic() > end:
                raise SlipwayError(f"{address} had not loaded after {LIMIT_S:.0f} s")

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, as JSON carries it; a promise is awaited. Raises PageError."""
        return _value(self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True))

    def call(
        self,
        thing: str,
        method: str,
        *arguments: Any,
        timeout_s: float = LIMIT_S,
        look: Callable[[], None] = lambda: None,
    ) -> Any:
        """Call a method of a global object with JSON values, and return what it, or its promise, gives.

        ``look`` is called every LOOK_S while it runs. Raises PageError.
        """
        subject = self.send("Runtime.evaluate", expression=thing)["result"]["objectId"]
        answer = self.send(
            "Runtime.callFunctionOn",
            objectId=subject,
            functionDeclaration=f"function (...all) {{ return this.{method}(...all); }}",
            arguments=[{"value": one} for one in arguments],
            returnByValue=True,
            awaitPromise=True,
            timeout_s=timeout_s,
            look=look,
        )
        return _value(answer)

    def send(
        self,
        command: str,
        *,
        timeout_s: float = LIMIT_S,
        look: Callable[[], None] = lambda: None,
        **params: object,
    ) -> dict[str, Any]:
        """Send one command, and return its result; events that come in between are heard.

        Raises SlipwayError when the browser refuses it, has ended, or does not answer in time.
        """
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": command, "params": params}
        if self._session:
            message["sessionId"] = self._session
        end = time.monotonic() + timeout_s
        try:
            os.write(self._out, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise SlipwayError(f"the browser has ended before {command}") from error
        while True:
            received = self._receive(command, end, look)
            if received.get("id") == self._number:
                if "error" in received:
                    raise SlipwayError(f"the browser refuses {command}: {received['error'].get('message')}")
                return dict(received["result"])
            if "method" in received:
                self._hear(received)

    def _receive(self, command: str, end: float, look: Callable[[], None]) -> Event:
        searched = 0
        while (stop := self._buffer.find(b"\0", searched)) < 0:
            searched = len(self._buffer)
            left = end - time.monotonic()
            if left <= 0:
                raise SlipwayError(f"the browser does not answer {command}")
            if select.select([self._in], [], [], min(left, LOOK_S))[0]:
                chunk = os.read(self._in, 1 << 20)
                if not chunk:
                    raise SlipwayError(f"the browser has ended during {command}")
                self._buffer += chunk
            else:
                look()
        message = json.loads(self._buffer[:stop])
        del self._buffer[: stop + 1]
        return dict(message)


def _value(answer: dict[str, Any]) -> Any:
    if "exceptionDetails" in answer:
        details = answer["exceptionDetails"]
        thrown = details.get("exception", {})
        raise PageError(str(thrown.get("description") or thrown.get("value") or details["text"]))
    return answer["result"].get("value")
