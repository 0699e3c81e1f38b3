"""A recording that was damaged on its way is a lost part with its reason."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.loadtest.parts import Told
from pipelines.loadtest.received import MOST_UNPACKED, Damaged, received
from pipelines.loadtest.recording import RECORDING, RESULT_FILES, Outcome, Recorder, save_blobs, save_recording
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.several import conclude

STEP_NS = 10_000_000
SETTINGS = LoadSettings("server", 3.0, 0.0, rate_per_s=100.0)


def leave(folder: Path) -> None:
    """300 requests, answered after 2 ms."""
    recorder: Recorder[bytes] = Recorder(400)
    recorder.measure_from(0)
    for number in range(300):
        index = recorder.begin(number * STEP_NS, number * STEP_NS + 1000)
        recorder.end(index, Outcome.ANSWERED, number * STEP_NS + 2_000_000)
    save_recording(folder, recorder.finish(0, 300 * STEP_NS, 0.01, 100))
    save_blobs(folder, "answers", [0, 7], [b"one", b"seven"])


class Ended:
    """A part that has run."""

    name = "1 of 2"

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host


def facts(**values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / RECORDING
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def arrays(name: str, **values: np.ndarray) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        with np.load(folder / f"{name}.npz") as found:
            kept = dict(found)
        np.savez(folder / f"{name}.npz", **(kept | values))

    return change


def file(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def large(folder: Path) -> None:
    """A few kilobytes that become more than all requests need."""
    with (
        zipfile.ZipFile(folder / "recording.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("sent.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(MOST_UNPACKED // 2**20 + 1):
            member.write(bytes(2**20))


WHOLE = np.arange(300)
DAMAGES = {
    "no json": file(RECORDING, b"{"),
    "deep json": file(RECORDING, b"[" * 100_000),
    "not these facts": file(RECORDING, b"{}"),
    "a fact of its own": facts(more=1),
    "first": facts(first=301),
    "first of another kind": facts(first="0"),
    "a time that cannot be": facts(start_ns=-1),
    "a time beyond all": facts(ended_ns=10**30),
    "no number": facts(cpu_s=float("nan")),
    "no texts": facts(error_examples=[1]),
    "no processors": facts(cpus=["a"]),
    "no file": lambda folder: (folder / "recording.npz").unlink(),
    "no answers": lambda folder: (folder / "answers.bin").unlink(),
    "no zip": file("recording.npz", b"x" * 1000),
    "one array": file("recording.npz", np.lib.format.MAGIC_PREFIX),
    "a pickle": arrays("recording", sent=np.array([{}] * 300, object)),
    "a shorter array": arrays("recording", done=np.arange(299)),
    "another kind": arrays("recording", done=np.arange(300.0)),
    "answers before their requests": arrays("recording", done=WHOLE),
    "no outcome": arrays("recording", outcome=np.full(300, 9, np.int8)),
    "times that wrap": arrays("recording", done=WHOLE + 2**62),
    "offsets that go back": arrays("answers", offsets=np.array([0, 9, 8])),
    "offsets beyond": arrays("answers", offsets=np.array([0, 3, 2**40])),
    "an answer of no request": arrays("answers", numbers=np.array([0, 300])),
    "large": large,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_recording_is_a_lost_part(tmp_path: Path, name: str) -> None:
    for place in ("sound", "damaged"):
        (tmp_path / place).mkdir()
        leave(tmp_path / place)
    DAMAGES[name](tmp_path / "damaged")
    parts = [Ended(tmp_path / place, place) for place in ("sound", "damaged")]
    found, recording = conclude(parts, [Told(), Told()], [b""], lambda *_: True, SETTINGS, False)
    assert recording is not None
    assert (found.requests, found.valid, found.answers_checked) == (300, False, 2)
    assert "the load generator on damaged is lost, and its part of the load: " in str(found.invalid_because)
    assert found.parts[0].lost is None
    assert found.parts[1].lost is not None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(RESULT_FILES), st.data())
def test_bytes_that_were_changed(tmp_path: Path, name: str, data: st.DataObject) -> None:
    """Whatever byte it is: a sound recording or the one exception."""
    leave(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    del content[data.draw(st.integers(at, len(content))) :]
    (tmp_path / name).write_bytes(content)
    with suppress(Damaged):
        assert len(received(tmp_path).sent) == 300


def test_texts_of_a_host_are_plain(tmp_path: Path) -> None:
    leave(tmp_path)
    facts(error_examples=["\x1b[2J" + "x" * 1000])(tmp_path)
    assert received(tmp_path).error_examples == ("?[2J" + "x" * 296,)
