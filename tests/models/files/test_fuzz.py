"""Mutated model files: the reader takes or refuses each of them, quickly, and within its memory.

300 files in each run of the tests; ``SLIPWAY_FUZZ=10000`` makes as many, for a run at night.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_files import Honest

from pipelines.stages.cage import GIB, Cage
from pipelines.stages.worker import StageFailed, run_stage

FILES = int(os.environ.get("SLIPWAY_FUZZ", "300"))
BATCH = 100
MOST_S = 5.0
MOST_BYTES = GIB
ODD: tuple[Any, ...] = (None, -1, 0, 2**63, 10**400, 1e308, "", "\0", "../x", [], {}, [[[]]], True, "x" * 10_000)


def flipped(raw: bytes, chance: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(chance.randint(1, 20)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def flipped_at_an_end(raw: bytes, chance: random.Random) -> bytes:
    """Change a byte where headers and directories are."""
    place = chance.randrange(min(len(raw), 512))
    changed = bytearray(raw)
    changed[place if chance.random() < 0.5 else -1 - place] = chance.randrange(256)
    return bytes(changed)


def cut(raw: bytes, chance: random.Random) -> bytes:
    return raw[: chance.randrange(len(raw))]


def doubled(raw: bytes, chance: random.Random) -> bytes:
    first, second = sorted(chance.randrange(len(raw)) for _ in range(2))
    return raw[:second] + raw[first:second] + raw[second:]


def numbered(raw: bytes, chance: random.Random) -> bytes:
    """Write a large number over four or eight bytes: a length or an offset, perhaps."""
    width = chance.choice((4, 8))
    place = chance.randrange(max(1, len(raw) - width))
    value = chance.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)) % 2 ** (8 * width)
    return raw[:place] + value.to_bytes(width, "little") + raw[place + width :]


def members(path: Path, target: Path, chance: random.Random) -> None:
    """Leave a member out, write one twice, or change one."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        chosen, what = chance.choice(old.namelist()), chance.choice(("without", "twice", "changed", "json", "json"))
        for name in old.namelist():
            content = old.read(name)
            if what == "json" and name.endswith(".json"):
                content = json.dumps(odd(json.loads(content), chance)).encode()
            if name == chosen and what == "changed" and content:
                content = flipped(content, chance)
            for _ in range({"without": 0, "twice": 2}.get(what, 1) if name == chosen else 1):
                new.writestr(name, content)


def odd(document: Any, chance: random.Random) -> Any:
    """Change one value, somewhere in a document, into an odd one, or leave its key out."""
    value = document
    while isinstance(value, dict | list) and value:
        key = chance.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if not isinstance(value[key], dict | list) or not value[key] or chance.random() < 0.1:
            if isinstance(value, dict) and chance.random() < 0.2:
                del value[key]
            else:
                value[key] = chance.choice(ODD)
            break
        value = value[key]
    return document


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flipped, flipped_at_an_end, cut, doubled, numbered)


def mutated(honest: Honest, folder: Path, seed: int) -> Path:
    """Make one file out of an honest one."""
    chance = random.Random(seed)  # noqa: S311
    source = chance.choice(list(honest.all.values()))
    target = folder / f"{seed}{source.suffix}"
    if source.is_dir() or source == honest.external:
        whole = source if source.is_dir() else source.parent
        shutil.copytree(whole, target)
        target = target / source.name if source == honest.external else target
        graph = target / "saved_model.pb" if source.is_dir() else target
        graph.write_bytes(chance.choice(BYTES)(graph.read_bytes(), chance))
    elif zipfile.is_zipfile(source) and chance.random() < 0.6:
        members(source, target, chance)
    else:
        target.write_bytes(chance.choice(BYTES)(source.read_bytes(), chance))
    return target


def read_in_cage(files: list[Path], log: Path) -> tuple[list[tuple[str, float]], int]:
    """Read files in one process. The message of a crash names the file that was read when it happened."""
    told: list[str] = []
    cage = Cage(memory_bytes=4 * GIB, cpu_s=300, files=64)
    request = {"paths": [str(file) for file in files]}
    try:
        done = run_stage(
            "fuzz_reader:read_all", request, log, tell=told.append, overlay=Path(__file__).parent / "inside", cage=cage
        )
    except StageFailed as error:
        raise AssertionError(f"{told[-1] if told else 'before the first file'}: {error}") from error
    return [(outcome, took) for outcome, took in done.value], done.usage.peak_rss_bytes


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.timeout(max(600, FILES))
def test_mutated_files_are_taken_or_refused(honest: Honest, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    for first in range(0, FILES, BATCH):
        folder = tmp_path / str(first)
        folder.mkdir()
        files = [mutated(honest, folder, seed) for seed in range(first, min(first + BATCH, FILES))]
        outcomes, peak = read_in_cage(files, tmp_path / "log")
        for file, (outcome, took) in zip(files, outcomes, strict=True):
            assert not outcome.startswith("bug"), f"{file}: {outcome}"
            assert took < MOST_S, f"{file}: {took:.1f} s"
            assert outcome.isprintable(), file
            seen[outcome.partition(":")[0]] += 1
        assert peak < MOST_BYTES
        shutil.rmtree(folder)
    assert seen["refused"] > FILES / 4
    assert seen["taken"] > FILES / 20  # weights may be changed without harm


def test_a_crash_names_the_file(honest: Honest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, models.files.keras_file as one\none.read = lambda path: os.abort()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(AssertionError, match=r"two\.keras: the process .* signal 6"):
        read_in_cage([honest.onnx, honest.keras, honest.pt2], tmp_path / "log")
