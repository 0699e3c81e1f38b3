"""The browser that slipway drives: what it says, what it may reach, and that nothing of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from browsers import needs_browser, site

from pipelines.base.errors import NotPossible, SlipwayError
from pipelines.paths.browser.chromium import Chromium, PageError, find
from pipelines.paths.browser.site import PayloadSite


@needs_browser
def test_a_page_is_isolated_and_its_values_and_errors_come_out(tmp_path: Path, nothing_left: Any) -> None:
    (tmp_path / "index.html").write_text("<script>subject = { add(a, b) { return Promise.resolve(a + b); } }</script>")
    served = PayloadSite(tmp_path)
    with Chromium() as browser:
        browser.open(served.url)
        assert browser.value("crossOriginIsolated") is True
        assert browser.call("subject", "add", [1], "x") == "1x"
        assert browser.value("'€'.repeat(300000)") == "€" * 300_000  # many reads of the pipe
        with pytest.raises(PageError, match="on purpose"):
            browser.value("Promise.reject(new Error('on purpose'))")
        with pytest.raises(SlipwayError, match=r"refuses No\.such"):
            browser.send("No.such")
        assert len(browser.processes) > 2
        # Another name of this same site: only a browser that may resolve names reaches it.
        with pytest.raises(SlipwayError, match="ERR_NAME_NOT_RESOLVED"):
            browser.open(served.url.replace("127.0.0.1", "site.localhost"))
    served.close()
    assert nothing_left() == []


KILLED = """
import sys, time
from pipelines.paths.browser.chromium import Chromium
with Chromium() as browser:
    print(*browser.processes, flush=True)
    time.sleep(600)
"""


@needs_browser
def test_nothing_is_left_of_it_when_its_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    processes = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
    assert len(processes) > 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    left = psutil.wait_procs(processes, timeout=30)[1]
    assert [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []


@needs_browser
def test_a_browser_that_dies_is_an_error_and_not_a_wait() -> None:
    begun = time.monotonic()
    with Chromium() as browser:
        browser.process.kill()
        with pytest.raises(SlipwayError, match="the browser has ended"):
            browser.value("new Promise(() => {})")
    assert time.monotonic() - begun < 60


def test_without_a_browser_the_command_that_installs_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NotPossible, match="apt-get install chromium"):
        find()
    theirs = tmp_path / "ms-playwright" / "chromium-1200" / "chrome-linux" / "chrome"
    theirs.parent.mkdir(parents=True)
    theirs.touch(0o755)
    assert find() == str(theirs)


def test_a_site_sends_types_and_isolation_and_nothing_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site" / "folder").mkdir(parents=True)
    for name in ("a.wasm", "b.mjs"):
        (tmp_path / "site" / name).write_bytes(b"1234")
    served = PayloadSite(site(tmp_path / "site"))
    try:
        types = {}
        for name in ("a.wasm", "b.mjs"):
            with urllib.request.urlopen(served.url + name) as answer:
                types[name] = answer.headers["Content-Type"]
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
                assert answer.read() == b"1234"
        assert types == {"a.wasm": "application/wasm", "b.mjs": "text/javascript"}
        assert served.sent_bytes == 8
        for name in ("folder/", "../secret", "%2e%2e/secret", "nothing"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(served.url + name)
    finally:
        served.close()
