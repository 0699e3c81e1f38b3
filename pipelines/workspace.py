"""Where a workspace keeps what: trained models, artifacts, reports."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import UserError


@dataclass(frozen=True, slots=True)
class Workspace:
    """``root/artifacts`` holds what is shipped, ``root/reports`` what was learned.

    ``artifacts/.store/KEY`` are the content-addressed builds; ``artifacts/MODEL/PATH/VARIANT`` are
    relative links to them, so that the folder can be mounted elsewhere.
    """

    root: Path

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def store(self) -> Path:
        return self.artifacts / ".store"

    def trained(self, model: str) -> Path:
        return self.artifacts / model / "trained"

    def artifact(self, model: str, path: str, variant: str) -> Path:
        return self.artifacts / model / path / variant

    def reports(self, model: str) -> Path:
        return self.root / "reports" / model

    def check_writable(self) -> None:
        """Raises UserError when the workspace cannot be written to."""
        try:
            self.store.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.store):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write to the workspace {self.root}: {error.strerror}. Choose another with --workspace."
            ) from error


def link(link_path: Path, target: Path) -> None:
    """Point ``link_path`` at ``target``, atomically, by a relative link."""
    link_path.parent.mkdir(parents=True, exist_ok=True)
    aside = link_path.with_name(f".{link_path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    aside.symlink_to(os.path.relpath(target, link_path.parent))
    aside.replace(link_path)


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing of it: aside, then renamed."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        aside.write_text(text)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder for files that nobody needs afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"slipway-{prefix}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
