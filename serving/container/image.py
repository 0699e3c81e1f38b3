"""Get the image of a server: use the present one, build it from the repository's Dockerfile, or pull it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from serving import guard
from serving.container.engine import address
from serving.container.recipe import CannotStart, Image
from serving.launch import LOG_TAIL_LINES, LaunchError

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).resolve().parents[2]
"""The repository's root, if slipway runs from the repository."""

Say = Callable[[str], None]


class ImageMissing(CannotStart):
    """The image is not on this machine, and cannot be built or pulled."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image that the engine has: its name, its identifier and its size on disk in bytes."""

    name: str
    id: str
    size_bytes: int


def ensure(client: DockerClient, image: Image, say: Say) -> FoundImage:
    """Return the image; build or pull it if the engine has none of this name, and report each step to ``say``.

    A present image is used as it is, even if it is old. Raises ImageMissing or LaunchError.
    """
    from docker.errors import DockerException, ImageNotFound

    try:
        found = client.images.get(image.name)
    except ImageNotFound:
        if image.dockerfile is None:
            _pull(client, image, say)
        else:
            _build(image, image.dockerfile, say)
        found = client.images.get(image.name)
    except DockerException as error:
        raise ImageMissing(
            f"{image.variable} must be the name of an image: {_first_line(error).rstrip('.')}. Received: {image.name!r}"
        ) from error
    return FoundImage(image.name, str(found.id), int(found.attrs["Size"]))


def _pull(client: DockerClient, image: Image, say: Say) -> None:
    from docker.errors import DockerException

    name, _, tag = image.name.rpartition(":")
    if not name or "/" in tag:
        name, tag = image.name, "latest"
    say(f"pulling {image.name}")
    try:
        for event in client.api.pull(name, tag=tag, stream=True, decode=True):
            if "error" in event:
                raise _not_pulled(image, event["error"])
            if event.get("status") == "Pull complete":
                say(f"pulling {image.name}: layer {event.get('id', '')} is complete")
    except DockerException as error:
        raise _not_pulled(image, _first_line(error)) from error


def _not_pulled(image: Image, reason: str) -> ImageMissing:
    return ImageMissing(
        f"the image {image.name} is not on this machine and cannot be pulled: {reason.rstrip('.')}. "
        f"Set {image.variable} to another image."
    )


def _first_line(error: Exception) -> str:
    """Return the engine's own message on one line, without the SDK's wrapping."""
    return " ".join(str(getattr(error, "explanation", None) or error).split())


def _build(image: Image, dockerfile: str, say: Say) -> None:
    """Run ``docker build``: the Dockerfiles need BuildKit, which the SDK does not support."""
    arguments = [word for argument in image.arguments for word in ("--build-arg", argument)]
    words = [*arguments, "--tag", image.name, "--file", dockerfile, "."]
    if not (ROOT / dockerfile).is_file() or not (ROOT / "constraints.txt").is_file():
        raise ImageMissing(
            f"the image {image.name} is not on this machine, and this installation has no repository to build it from. "
            f"Build it in the repository (docker build {' '.join(words)}), "
            f"or set {image.variable} to another image."
        )
    program = shutil.which("docker")
    if program is None:
        raise ImageMissing(
            f"the docker command is needed to build {image.name}, but is not on PATH. Install Docker's client"
        )
    say(f"building {image.name}")
    tail: deque[str] = deque(maxlen=LOG_TAIL_LINES)
    with subprocess.Popen(
        [sys.executable, "-P", guard.__file__, str(os.getpid()), program, "build", "--progress=plain", *words],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": address(), "DOCKER_BUILDKIT": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        try:
            for line in process.stdout or ():
                tail.append(line.rstrip())
                if step := re.match(r"#\d+ (\[.*)", line):  # "#9 [2/6] RUN ..."
                    say(f"building {image.name}: {step[1][:100]}")
        except BaseException:
            process.terminate()  # an interrupted build must not go on
            raise
    if process.returncode:
        said = "\n".join(tail)
        raise LaunchError(
            f"the image {image.name} could not be built (exit code {process.returncode}); last lines:\n{said}"
        )
