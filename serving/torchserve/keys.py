"""The keys of a TorchServe whose operator gives them: one for its clients, one for this machine.

The clients' key is a file with one line. TorchServe in a container reads it there (the class in ``java/``);
the key of the management API is drawn anew at each start, and known to nobody outside.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from serving.launch import LaunchError
from serving.torchserve.state import KEY_FILE

PROPERTIES = "keys.properties"
_KEY = re.compile(r"[A-Za-z0-9_-]{32,256}")
KEY_BYTES = 32


def read_key(files: Sequence[Path]) -> str:
    """Return the key in the first of the files that is not empty. Raises LaunchError, which never shows a key."""
    for file in files:
        try:
            text = file.read_text("ascii").strip()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not ASCII text"
            raise LaunchError(
                f"the clients' key cannot be read: {reason}. Received: {file}. "
                f"Give user {os.getuid()} the right to read it"
            ) from error
        if text and not _KEY.fullmatch(text):
            raise LaunchError(
                f"a key is one line of 32 to 256 letters, digits, - and _. Received: something else in {file}. "
                "Make one: openssl rand -hex 32"
            )
        if text:
            return text
    raise LaunchError(
        f"there is no key for its clients in {' or '.join(map(str, files))}. Have one made: docker compose run --rm "
        "keys; or name a file that holds one in TORCHSERVE_KEY_FILE"
    )


def make_key(file: Path) -> bool:
    """Write a new key into ``file``, readable for its owner and group; False if it holds one already.

    Raises:
        LaunchError: it cannot be written, or holds something else.
    """
    if file.exists() and file.stat().st_size:
        read_key([file])
        return False
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        _write(aside, f"{secrets.token_urlsafe(KEY_BYTES)}\n", 0o440)
        aside.replace(file)
    except OSError as error:
        raise LaunchError(f"the key cannot be written: {error.strerror}. Received: {file}") from error
    return True


def write_keys(workdir: Path, inference: str) -> Path:
    """Both keys for the frontend, and beside them in TorchServe's own form for :mod:`serving.torchserve.state`."""
    management = secrets.token_urlsafe(KEY_BYTES)
    _write(workdir / KEY_FILE, json.dumps({"inference": {"key": inference}, "management": {"key": management}}))
    return _write(workdir / PROPERTIES, f"inference={inference}\nmanagement={management}\n")


def _write(file: Path, text: str, mode: int = 0o600) -> Path:
    """Write a new file that nobody else could read at any moment."""
    file.unlink(missing_ok=True)
    file.touch(0o600, exist_ok=False)
    file.write_text(text)
    file.chmod(mode)
    return file
