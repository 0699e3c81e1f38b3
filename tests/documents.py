"""The pages of the documentation, and the commands that they show in blocks."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    page.relative_to(ROOT)
    for pattern in ("*.md", "docs/*.md", "deploy/**/*.md", "models/**/*.md", "pipelines/**/*.md", "serving/**/*.md")
    for page in sorted(ROOT.glob(pattern))
]
PROGRAMS = ("slipway", "make", "docker", "curl", "python")


def _commands(page: Path) -> list[str]:
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]
    commands = [re.sub(r"(^|\s+)# .*", "", line).strip() for line in lines]
    return [command for command in commands if re.match(rf"(\w+=\S+ )*({'|'.join(PROGRAMS)}) ", command)]


COMMANDS = list(dict.fromkeys(command for page in PAGES for command in _commands(page)))


_EXAMPLE = re.compile(r"```python\n((?:(?!```).)*)```\n\n```sh\n(slipway run [^\n]*)\n```", re.DOTALL)
EXAMPLES = {
    line.split()[2]: (code, line) for code, line in _EXAMPLE.findall((ROOT / "docs" / "your-model.md").read_text())
}
"""Maps the name of a model file to the lines of Python that make it, and the command below them that takes it."""


def documented(command: str) -> list[str]:
    """The words of a command, which a page must show."""
    assert command in COMMANDS, f"no page shows it any more: {command}"
    return command.split()


def label(answer: str) -> int:
    """The digit with the largest score in a JSON answer of TF Serving's API or of the Open Inference Protocol."""
    document = json.loads(answer)
    scores = document["predictions"][0] if "predictions" in document else document["outputs"][0]["data"]
    return int(scores.index(max(scores)))
