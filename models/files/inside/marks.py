"""Lists the files that are not taken, by how they begin or what they hold, and what to give instead."""

from __future__ import annotations

from models.files.inside.hdf5 import SIGNATURE

PICKLED = "a pickle, which runs code when it is opened. Export the model with torch.export, or to ONNX"
_PACKED = "a compressed file. Unpack it first"
HEADS: tuple[tuple[int, bytes, str], ...] = (
    (0, SIGNATURE, "an HDF5 file (.h5), Keras's old format. Load it with Keras and save it as .keras"),
    (4, b"TFL3", "a TensorFlow Lite file, which is what slipway makes. Give the model that it was made from"),
    (4, b"ET12", "an ExecuTorch program, which is what slipway makes. Give the model that it was made from"),
    (4, b"ORTM", "a model in ONNX Runtime's own format. Give the .onnx file that it was made from"),
    (0, b"GGUF", "a GGUF file, for llama.cpp. Its network is not in it: give the model that it was made from"),
    (0, b"\x1f\x8b", _PACKED),
    (0, b"BZh", _PACKED),
    (0, b"\xfd7zXZ", _PACKED),
    (0, b"\x28\xb5\x2f\xfd", _PACKED),
    (0, b"\x04\x22\x4d\x18", _PACKED),
    (257, b"ustar", "a tar archive. Unpack it first"),
    (0, b"\x7fELF", "a program or a shared library, and no model"),
    (0, b"\x93NUMPY", "an array of NumPy, and no model"),
    (0, b"version https://git-lfs", "a pointer of Git LFS, and not the file itself. Run `git lfs pull`"),
    (0, b"<!DOCTYPE", "a web page, and no model: the download failed"),
    (0, b"<html", "a web page, and no model: the download failed"),
)
"""Maps bytes at a place near the beginning to what the file is, for those that are not taken."""
ZIPS = (
    (
        r"(.*/)?data/aotinductor/.*|.*\.(so|dylib|dll|pyd)",
        "compiled code (AOTInductor's, for example), which runs as it is",
    ),
    (r"[^/]+/archive_format", "pt2"),
    (
        r"(.*/)?serialized_exported_program\.json",
        "a program of an older torch.export. Load it and save it again with PyTorch 2.9",
    ),
    (
        r"[^/]+/(code/.*|constants\.pkl)",
        "a TorchScript archive, which PyTorch no longer develops. Use torch.export.export and torch.export.save",
    ),
    (r"(.*/)?[^/]*\.pkl", f"a PyTorch file with {PICKLED}"),
    (r"MAR-INF/.*", "an archive for TorchServe. Give the model that it was made from"),
    (r"(.*/)?saved_model\.pb", "a zipped SavedModel. Unpack it, and name its folder"),
    (r"(.*/)?[^/]*\.npy", "arrays of NumPy, and no model"),
)
"""Maps a member's name to a kind, or to what the archive is if it is not taken; the first that occurs decides."""
