"""The reference, ready to be asked: the model in the framework that trained it, in a process of its own.

The back end imports no framework. ``python -m pipelines.web.referee FOLDER PLACE`` reads inputs from its standard input
and writes outputs to its standard output: each is the length of an .npz file (8 bytes, little-endian), and the file.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from models.files import OWN
from pipelines.base.errors import SlipwayError
from pipelines.stages.cage import enter, environment, for_framework
from serving.guard import interrupts_deferred, tied
from serving.launch import NO_TELEMETRY, log_tail

LENGTH = struct.Struct("<Q")
REFUSED = "__refused__"
"""In place of outputs: why there are none."""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", **NO_TELEMETRY}


class Referee:
    """Starts the process; it ends with this one. ``folder`` is the trained model's, ``log`` gets what is printed."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._log, self._lock = log, threading.Lock()
        place = log.parent / "reference"  # a user's own file is called in a cage, which may write there
        place.mkdir(exist_ok=True)
        given = environment(place) if (folder / OWN).exists() else dict(os.environ)
        with log.open("ab") as output, interrupts_deferred():
            self._process = subprocess.Popen(
                tied([sys.executable, "-P", "-m", "pipelines.web.referee", str(folder), str(place)]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**given, **QUIET},
                start_new_session=True,
            )

    def outputs(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the reference's outputs; waits until its framework is loaded. Raises SlipwayError."""
        asked, answered = self._process.stdin, self._process.stdout
        if asked is None or answered is None:
            raise RuntimeError("the process was started without pipes")
        with self._lock:
            try:
                _write(asked, inputs)
                found = _read(answered)
            except (OSError, EOFError, ValueError) as error:
                why = f"the reference's process has ended: {error}"
                raise SlipwayError(f"{why}\n{log_tail(self._log)}".rstrip()) from error
        if REFUSED in found:
            raise SlipwayError(f"the reference cannot answer: {found[REFUSED]}")
        return found

    def kill(self) -> None:
        """End the process; whoever waits for an answer gets an error."""
        self._process.kill()

    def stop(self) -> None:
        """End the process, and close what it was asked through."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # the process has ended before it read all
                    pipe.close()


def _write(pipe: IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    pipe.write(LENGTH.pack(content.tell()) + content.getvalue())
    pipe.flush()


def _read(pipe: IO[bytes]) -> dict[str, np.ndarray]:
    """Return the arrays that come next. Raises EOFError if there are none."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError("nothing follows")
    (length,) = LENGTH.unpack(head)
    with np.load(io.BytesIO(pipe.read(length)), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _serve(folder: str, place: str) -> None:
    """Answer until the standard input ends; for a user's own file, in a cage that may write into ``place``."""
    if (Path(folder) / OWN).exists():
        enter(for_framework(), Path(place))
    # A framework prints what it likes: only answers go to the pipe.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from models import known

    model: Any = known.load(Path(folder))
    model.reference(model.spec.draw(1, {name: low for name, (low, _) in model.spec.lengths.items()}, seed=0))
    while True:
        try:
            inputs = _read(sys.stdin.buffer)
        except EOFError:
            return
        try:
            outputs = model.reference(inputs)
        except Exception as error:  # noqa: BLE001 - a framework raises what it likes; the next input may be better
            outputs = {REFUSED: np.array(f"{type(error).__name__}: {error}")}
        _write(answers, outputs)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
