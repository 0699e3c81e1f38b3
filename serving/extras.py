"""Name the command that installs an extra, as this distribution was installed here."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

DISTRIBUTION = "slipway-paths"
"""Our name on PyPI, where ``slipway`` is somebody else's."""


def install_command(extra: str) -> str:
    """Return the command that brings an extra: the Makefile's in its .venv, otherwise pip's from wherever we came."""
    origin = _origin()
    url = urllib.parse.urlsplit(origin.get("url", ""))
    if "dir_info" in origin:
        folder = Path(urllib.request.url2pathname(url.path))
        if Path(sys.prefix) == folder / ".venv" and (folder / "Makefile").is_file():
            there = "" if Path.cwd() == folder else f"-C {shlex.quote(str(folder))} "
            return f"make {there}setup EXTRAS={extra}"
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return f"pip install {editable}{shlex.quote(f'{folder}[{extra}]')}"
    source = origin.get("url", "")
    if vcs := origin.get("vcs_info"):
        source = f"{vcs['vcs']}+{source}@{vcs['commit_id']}"
    return f"pip install '{DISTRIBUTION}[{extra}]{f' @ {source}' if source else ''}'"


def _origin() -> dict[str, Any]:
    """Read what pip wrote down of where we came from (PEP 610); empty for an index, or where pip did not install us."""
    try:
        text = importlib.metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return {}
    return dict(json.loads(text)) if text else {}
