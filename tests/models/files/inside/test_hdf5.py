"""Arrays in HDF5 files, against h5py."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest

from models.files import RefusedFile
from models.files.inside.hdf5 import arrays_in


def written(write: Callable[[Any], None], **options: Any) -> memoryview:
    raw = io.BytesIO()
    with h5py.File(raw, "w", **options) as file:
        write(file)
    return memoryview(raw.getvalue())


def test_arrays_are_found_in_wide_and_deep_groups() -> None:
    def write(file: Any) -> None:
        for number in range(300):
            file.create_dataset(f"layers/layer_{number}/vars/0", (number, 3), "float32", np.zeros((number, 3), "f4"))
        group = file["layers/layer_7"]
        for number in range(40):  # so many that the header goes on elsewhere
            group.attrs[f"name_{number}"] = "x" * 100
        file.create_dataset("top", data=np.int64(3))
        file.create_dataset("halves", data=np.zeros((5,), "float16"))

    found = {one.path: (one.shape, one.itemsize) for one in arrays_in(written(write), "x")}
    wanted = {f"layers/layer_{number}/vars/0": ((number, 3), 4) for number in range(300)}
    assert found == wanted | {"top": ((), 8), "halves": ((5,), 2)}


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("x", layout)


@pytest.mark.parametrize(
    "write",
    [
        lambda file: file.update({"x": h5py.ExternalLink("/etc/passwd", "/x")}),
        lambda file: file.update({"x": h5py.SoftLink("/y")}),
        lambda file: file.create_dataset("x", (4,), "float32", external=[("/etc/passwd", 0, 16)]),
        lambda file: file.create_dataset("x", (10**9,), "float32", chunks=(1000,), compression="gzip"),
        lambda file: file.create_dataset("x", (10**9,), "float32"),
        virtual,
    ],
    ids=["external link", "soft link", "external array", "chunks", "nothing stored", "virtual"],
)
def test_what_leads_elsewhere_or_is_too_large_is_refused(write: Callable[[Any], None]) -> None:
    with pytest.raises(RefusedFile):
        arrays_in(written(write), "x")


def test_another_layout_is_refused() -> None:
    with pytest.raises(RefusedFile, match="another layout"):
        arrays_in(written(lambda file: file.create_dataset("x", data=[1]), libver="latest"), "x")


def test_a_cut_file_is_refused() -> None:
    whole = written(lambda file: file.create_dataset("x", data=np.zeros(1000)))
    for size in (0, 5, 60, 200, 1000, len(whole) - 1):
        with pytest.raises(RefusedFile):
            arrays_in(whole[:size], "x")
