"""Runs one function for :mod:`pipelines.stages.worker`: the side of the new process.

It imports next to nothing by itself: a stage begins as soon as the interpreter runs.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pipelines.base.errors import MissingExtra, NotPossible, SlipwayError, UserError
from pipelines.stages.cage import Cage, enter
from serving.guard import tie_to_parent
from serving.lean import import_lean

if TYPE_CHECKING:
    from warnings import WarningMessage

_OWN = ("models", "pipelines", "serving")  # in these, a missing module is a bug, not a missing extra
KINDS = {"user": UserError, "missing": MissingExtra, "impossible": NotPossible, "slipway": SlipwayError}
IMPORTED_WITH: list[WarningMessage] = []
"""The warnings of the imports that this process began with: it is a fork, and will not hear them again."""


def _kind(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in _OWN:
        return "missing"
    if _disk_is_full(error):
        return "user"
    return next((kind for kind, cls in KINDS.items() if isinstance(error, cls)), "crash")


def _disk_is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _text(error: BaseException) -> str:
    if isinstance(error, OSError) and _disk_is_full(error):
        return f"{error.strerror}: {error.filename or 'where a stage writes'}. Make room, and run it again"
    return str(error) if isinstance(error, SlipwayError) else f"{type(error).__name__}: {error}"


def _main(stage: str, request_file: str, answer_file: str, parent: str, cage: str | None = None) -> NoReturn:
    held = () if cage is None else enter(Cage(**json.loads(cage)), Path(answer_file).parent)
    tie_to_parent(int(parent))  # after the cage: the kernel forgets it when rights change
    import_lean()
    run(stage, request_file, answer_file, held)


def run(stage: str, request_file: str, answer_file: str, held: tuple[str, ...] = ()) -> NoReturn:
    """Run a stage and write its answer; the process ends with it."""
    failure = None
    try:
        module, _, name = stage.rpartition(":")
        function = getattr(importlib.import_module(module or "pipelines.stages.functions"), name)
        value = function(**json.loads(Path(request_file).read_text()))
        answer = {"value": value, "peak_rss_bytes": _peak_rss_bytes(), "held": held}
    except Exception as error:  # noqa: BLE001 - the boundary of the process: every failure becomes a row's reason
        import traceback

        failure = traceback.format_exc()
        answer = {"error": _text(error), "kind": _kind(error)}
    # The answer first: the log may lie on a full disk.
    Path(answer_file).write_text(json.dumps(answer))
    with suppress(OSError):
        if failure:
            sys.stderr.write(failure)
        sys.stdout.flush()
        sys.stderr.flush()
    # Some runtimes hang or crash while the interpreter unloads them; the answer is already written.
    os._exit(0)


def _peak_rss_bytes() -> int:
    import psutil

    from serving.launch import peak_rss_bytes

    return peak_rss_bytes(psutil.Process())


if __name__ == "__main__":
    _main(*sys.argv[1:])
