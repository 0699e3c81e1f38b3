from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.base.errors import UserError
from pipelines.base.files import MARK, read_bounded, scratch, write_bytes

HOLD = """
import sys
from pipelines.base.files import scratch
with scratch("serve") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    elsewhere, users = tmp_path / "elsewhere", tmp_path / "slipway-serve-notes"
    for folder in (elsewhere, users):
        folder.mkdir()
        (folder / "kept").touch()
    (elsewhere / MARK).touch()
    (tmp_path / "slipway-serve-link").symlink_to(elsewhere)
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        with scratch("stage") as own:
            assert own.is_dir()
            assert (held / "file").exists()  # somebody works in it
        assert not own.exists()
        process.send_signal(signal.SIGKILL)
    assert (held / "file").exists()
    with scratch("stage"):
        assert not held.exists()
    assert (users / "kept").exists()
    assert (elsewhere / "kept").exists()


def test_a_device_and_a_pipe_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        write_bytes(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)


def test_a_file_of_the_largest_size_is_read_whole_also_through_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"x" * 3_000_000)
    link.symlink_to(file)
    assert read_bounded(link, 3_000_000, "the input") == file.read_bytes()


@pytest.mark.timeout(20)
def test_what_may_never_end_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe, listening = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(listening))
        for path in (Path("/dev/zero"), pipe):
            with pytest.raises(UserError, match=rf"cannot read the token: it is a device.*Received: {path}"):
                read_bounded(path, 100, "the token")
        with pytest.raises(UserError, match="cannot read the token: No such device"):
            read_bounded(listening, 100, "the token")
    with pytest.raises(UserError, match="cannot read the token: Is a directory"):
        read_bounded(tmp_path, 100, "the token")
    with pytest.raises(UserError, match=r"cannot read the token: .*null"):
        read_bounded(Path("a\0b"), 100, "the token")


def test_what_is_too_large_is_refused_by_its_size_and_by_its_bytes(tmp_path: Path) -> None:
    sparse = tmp_path / "sparse"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(UserError, match=rf"1,099,511,627,776 bytes, at most 100 are read. Received: {sparse}"):
        read_bounded(sparse, 100, "a body")
    # The kernel makes it up while it is read: its size is 0.
    with pytest.raises(UserError, match=r"a body: it does not end after 20 bytes. Received: /proc/self/status"):
        read_bounded(Path("/proc/self/status"), 20, "a body")
