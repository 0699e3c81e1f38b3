"""A process that imports libraries once and forks for each stage: the side of :class:`pipelines.stages.forks.Forks`.

``python -m pipelines.stages.forkserver PARENT MODULE ...``, then one line of JSON a stage on its standard input. For
each it prints the number of the fork's process, and when that has ended its exit code and CPU seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

from pipelines.stages import child
from serving.guard import tie_to_parent
from serving.lean import import_lean

THREADS = Path("/proc/self/task")


def _serve(parent: str, *modules: str) -> None:
    """Fork until the standard input ends. Exits with a line if a library has begun threads: a fork would lack them.

    A module that is missing is imported by the stage, which says so.
    """
    tie_to_parent(int(parent))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints is no answer
    import_lean()
    with warnings.catch_warnings(record=True, action="always") as child.IMPORTED_WITH:
        for name in modules:
            with suppress(ModuleNotFoundError):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page that holds an object
    own = os.getpid()
    if THREADS.exists() and len([*THREADS.iterdir()]) > 1:
        sys.exit(f"the import of {', '.join(modules)} has begun threads")
    for line in sys.stdin:
        stage, request_file, answer_file, folder, log = json.loads(line)
        process = os.fork()
        if process == 0:
            _become(folder, log)
            tie_to_parent(own)
            child.run(stage, request_file, answer_file)
        print(process, file=answers, flush=True)
        _, status, used = os.wait4(process, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), file=answers, flush=True)


def _become(folder: str, log: str) -> None:
    """Give this process a session, an output and a place for temporary files of its own."""
    os.setsid()
    with Path(log).open("ab") as output, Path(os.devnull).open("rb") as nothing:
        for own, given in ((0, nothing), (1, output), (2, output)):
            os.dup2(given.fileno(), own)
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = None  # what an import has found out by another TMPDIR


if __name__ == "__main__":
    _serve(*sys.argv[1:])
