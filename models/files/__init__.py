"""Reads and checks a user's own model file: nothing in it is run, and no framework is imported.

:func:`models.files.kinds.read` tells the kind by the content and hands the file to that kind's reader. A reader raises
:class:`RefusedFile` for what is damaged or would hurt whoever opens it, and lists in :attr:`FileFacts.code` what would
run, or reach for files or the network, when the file's own framework loads or calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.spec import TensorSpec

OWN = "own.json"
"""The file in the folder of a user's model that says what it is."""
UNKNOWN_RANK = "..."
"""Stands in a shape for any number of dimensions, where a file does not say how many there are."""


def printable(text: str) -> str:
    """Return a text in one line, without what a terminal would obey: names come out of a stranger's file."""
    return "".join(character if character.isprintable() else "?" for character in text)


class RefusedFile(ValueError):
    """A file that is not taken. The message is one line: what is wrong, what was received, what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The content of a model file, as far as it can be read without running it.

    ``kind`` is the form of the model: ``keras``, ``saved_model``, ``pt2`` or ``onnx``. ``sha256`` covers every file
    that belongs to it. ``batch`` is the number of rows if the file fixes it, ``most_rows`` their bound. ``lengths``
    holds the bounds of free dimensions, None for no upper one. ``guessed`` names the inputs whose values the file does
    not bound. ``parameters`` and ``parameter_bytes`` are None where the file does not say. ``custom`` are operators of
    other libraries; ``code`` says what would run code or reach outside when the file is loaded or called.
    """

    kind: str
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    versions: Mapping[str, str]
    batch: int | None = None
    most_rows: int | None = None
    lengths: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()
    parameters: int | None = None
    parameter_bytes: int | None = None
    custom: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
