"""Bounds a process that handles a stranger's file: memory, time, files, and no way out.

A cage is a second line. What a file would run is looked for before, in :mod:`models.files`; if something is overlooked
there, or a library fails on a malicious file, this is what it can do no harm with.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.stages import kernel

GIB = 2**30
MODEL_CPU_S = 3_600
KEPT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
"""Variables that a caged process is given. Others may hold keys and addresses."""


@dataclass(frozen=True, slots=True)
class Cage:
    """The limits of one process.

    ``memory_bytes`` is address space, ``cpu_s`` time on a processor, ``file_bytes`` the size of any file that it writes
    (into its own folder and ``writes``, and nowhere else), ``files`` the number of open ones. ``alone``: it starts no
    other process.
    """

    memory_bytes: int
    cpu_s: int
    file_bytes: int = GIB
    files: int = 256
    alone: bool = True
    writes: tuple[str, ...] = ()


def for_framework(*writes: Path, alone: bool = True) -> Cage:
    """Return the cage of a stage that loads a user's model into a framework, which may write into some folders.

    Frameworks reserve far more address space than they use: twice the machine's memory keeps what allocates without
    end from taking all of it.
    """
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    kept = tuple(str(folder.absolute()) for folder in writes)
    return Cage(max(32 * GIB, 2 * pages * size), MODEL_CPU_S, 16 * GIB, 4096, alone, kept)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a caged process, whose own folder is its home."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}


def enter(cage: Cage, folder: Path) -> tuple[str, ...]:
    """Put this process into a cage for good; return what of it this system holds, in words for people.

    To be called before any thread is started. ``folder`` is the only one that it may write into.
    """
    limits = {
        f"{cage.memory_bytes / GIB:.1f} GiB of memory": ("RLIMIT_AS", cage.memory_bytes),
        f"{cage.cpu_s} s of CPU time": ("RLIMIT_CPU", cage.cpu_s),
        f"{cage.file_bytes / GIB:.1f} GiB in a file": ("RLIMIT_FSIZE", cage.file_bytes),
        f"{cage.files} open files": ("RLIMIT_NOFILE", cage.files),
        "no core dump": ("RLIMIT_CORE", 0),
    }
    privileges = kernel.no_new_privileges()
    sockets = kernel.no_sockets(alone=cage.alone)
    network = sockets or kernel.own_network()
    if cage.alone and not sockets:
        limits["no new process"] = ("RLIMIT_NPROC", 0)
    held = {
        "no network": network,
        "no other process": sockets and cage.alone,
        "no writing outside of its folder": privileges and kernel.writes_only_below(folder, *map(Path, cage.writes)),
        "no new privileges": privileges,
        **{words: _limited(name, value) for words, (name, value) in limits.items()},
    }
    return tuple(words for words, holds in held.items() if holds)


def _limited(name: str, value: int) -> bool:
    with suppress(ValueError, OSError, AttributeError):  # not known to this system, or it has a lower one already
        number = getattr(resource, name)
        most = resource.getrlimit(number)[1]
        bounded = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(number, (bounded, bounded))
        return True
    return False
