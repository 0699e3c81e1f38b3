"""Names the folders of a workspace: trained models, artifacts, reports."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipelines.base.errors import UserError

SHOWN_AS = "SLIPWAY_REPORTS_SHOWN_AS"
"""The environment variable with the path of reports/ that the reader knows, where this is another: in a container."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """``root/artifacts`` holds what is shipped, ``root/reports`` the results.

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

    @property
    def environments(self) -> Path:
        """The folder of libraries that are no part of slipway's own environment."""
        return self.artifacts / ".environments"

    def trained(self, model: str) -> Path:
        return self.artifacts / model / "trained"

    def artifact(self, model: str, path: str, variant: str) -> Path:
        return self.artifacts / model / path / variant

    def releases(self, model: str, path: str, variant: str) -> Path:
        return self.artifacts / model / path / "releases" / variant

    def reports(self, model: str) -> Path:
        return self.root / "reports" / model

    def shown(self, report: Path) -> Path:
        """Return the path of a report as its reader knows it."""
        known = os.environ.get(SHOWN_AS)
        return Path(known, report.relative_to(self.root / "reports")) if known else report

    def check_writable(self) -> None:
        """Raise UserError when the workspace cannot be written to."""
        try:
            self.store.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.store):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write to the workspace {self.root}: {error.strerror}. Choose another with --workspace."
            ) from error
