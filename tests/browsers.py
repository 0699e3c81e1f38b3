"""Marks tests that need a browser: where there is none they are skipped, which CI does not allow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.errors import NotPossible
from pipelines.paths.browser.chromium import find
from pipelines.paths.browser.payload import PAGE
from pipelines.paths.browser.runtimes import HERE


def _found() -> str | None:
    try:
        return find()
    except NotPossible:
        return None


CHROMIUM = _found()
NEEDS_BROWSER = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH; run: apt-get install chromium"),
]


def needs_browser(test: Any) -> Any:
    """Mark one test of a module."""
    for mark in NEEDS_BROWSER:
        test = mark(test)
    return test


MODEL = """
export async function load(threads) {
  const about = await (await fetch("about.json")).json();
  if (about.broken) throw new Error("broken on purpose");
  async function predict({ x, y }) {
    const until = performance.now() + about.busy_ms;
    while (performance.now() < until);
    if (about.refuses !== undefined && x.data[0] === about.refuses) throw new Error("refused on purpose");
    const doubled = { dtype: x.dtype, shape: x.shape, data: x.data.map((value) => value + value) };
    return y ? { doubled, y } : { doubled };
  }
  return { predict };
}
"""


def site(folder: Path, about: str = '{"busy_ms": 0}') -> Path:
    """A payload whose model doubles ``x``, after ``busy_ms``, and gives ``y`` back as it is."""
    for name in PAGE:
        shutil.copyfile(HERE / name, folder / name)
    (folder / "model.mjs").write_text(MODEL)
    (folder / "about.json").write_text(about)
    return folder
