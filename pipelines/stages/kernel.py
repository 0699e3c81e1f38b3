"""Asks the Linux kernel to take rights away from this process, for good: the network, other processes, files to write.

Each function tells if it succeeded. Nothing needs root, and nothing can be taken back, not even by a program that this
process starts.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2  # <linux/prctl.h>, <linux/seccomp.h>
CLONE_NEWUSER, CLONE_NEWNET, CLONE_THREAD = 0x10000000, 0x40000000, 0x00010000  # <linux/sched.h>
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # <linux/bpf_common.h>
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where they lie in struct seccomp_data
_OF_32_BITS = 0x40000000
"""System calls from this number on are those of x86's other calling convention."""
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # <linux/audit.h>
# Sockets; io_uring, which makes sockets by another door; handles of files; namespaces; keys; other processes' memory.
_NEVER = {
    "x86_64": (41, 425, 304, 272, 308, 165, 155, 248, 249, 250, 101, 310, 311, 438, 321, 323, 298, 246),
    "aarch64": (198, 425, 265, 97, 268, 40, 41, 217, 218, 219, 117, 270, 271, 438, 280, 282, 241, 104),
}
# execve, execveat, kill, tkill, pidfd_send_signal, and fork and vfork where there are any.
_NOT_ALONE = {"x86_64": (59, 322, 62, 200, 424, 57, 58), "aarch64": (221, 281, 129, 130, 424)}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION_FLAG, _LANDLOCK_BENEATH = 1, 1
# <linux/landlock.h>: writing, removing and making files, by the version that knows the right.
_WRITES = {1: 0b1_1111_1111_0010, 2: 1 << 13, 3: 1 << 14}
_WRITE, _MAKE_DEVICES = 1 << 1, 1 << 6 | 1 << 11


def no_new_privileges() -> bool:
    """Make programs that this process starts run without the rights of their owner (set-user-ID)."""
    return sys.platform == "linux" and _libc().prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0


def no_sockets(*, alone: bool) -> bool:
    """Refuse system calls that reach the network or other processes; ``alone``: those that start processes, too.

    It covers every kind of socket, so that the sockets of this machine's services are out of reach as well.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return False
    refused = _ERROR | errno.EPERM
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, refused)]
    steps += [(_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _OF_32_BITS), (_RETURN, 0, 0, refused)]
    for number in (*_NEVER[machine], *(_NOT_ALONE[machine] if alone else ())):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refused)]
    if alone:
        # Threads are allowed. Where clone3 is missing, the C library takes clone, whose flags can be seen.
        steps += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERROR | errno.ENOSYS)]
        steps += [(_EQUAL, 0, 3, _CLONE[machine]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
        steps += [(_ANY_BIT, 1, 0, CLONE_THREAD), (_RETURN, 0, 0, refused)]
    steps += [(_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    return _libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0


def own_network() -> bool:
    """Give this process a network of its own, without any interface, by a namespace of users where root is needed."""
    if sys.platform != "linux":
        return False
    user, group = os.getuid(), os.getgid()
    if _libc().unshare(CLONE_NEWNET) == 0:
        return True
    if _libc().unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with suppress(OSError):  # without these lines, the process has no name, and the same rights
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def writes_only_below(*folders: Path) -> bool:
    """Refuse to write, make or remove files anywhere but below some folders, by Landlock."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        return False
    call = _libc().syscall
    version = call(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION_FLAG)
    if version < 1:
        return False
    rights = sum(bits for since, bits in _WRITES.items() if version >= since)
    handled = ctypes.create_string_buffer(struct.pack("=Q", rights), 8)
    rules = call(_LANDLOCK_CREATE, handled, 8, 0)
    if rules < 0:
        return False
    try:
        for place, allowed in (*((one, rights & ~_MAKE_DEVICES) for one in folders), (Path(os.devnull), _WRITE)):
            below = os.open(place, os.O_PATH | os.O_CLOEXEC)
            try:
                rule = ctypes.create_string_buffer(struct.pack("=Qi", allowed, below), 12)
                if call(_LANDLOCK_ADD, rules, _LANDLOCK_BENEATH, rule, 0) != 0:
                    return False
            finally:
                os.close(below)
        return bool(call(_LANDLOCK_RESTRICT, rules, 0) == 0)
    finally:
        os.close(rules)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
