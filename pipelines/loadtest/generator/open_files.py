"""Bounds the requests in flight by the connections that a process may have open."""

from __future__ import annotations

from pipelines.base.errors import UserError
from pipelines.loadtest.request import UrlCall
from pipelines.loadtest.settings import MAX_IN_FLIGHT, LoadSettings

try:
    import resource
except ImportError:  # not a Unix
    resource = None  # type: ignore[assignment]

SPARE_FILES = 64
"""Files that a generator needs beside its connections."""
FILES_ELSEWHERE = 564
"""The bound on a system that tells none."""


def allowed() -> int:
    """Returns how many files a process may have open, after :func:`raise_limit`."""
    if resource is None:
        return FILES_ELSEWHERE
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = MAX_IN_FLIGHT + SPARE_FILES
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def raise_limit() -> None:
    """Raises this process's soft limit of open files as far as a load test needs, and the hard limit allows."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < allowed():
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed(), hard))


def in_flight_limit(call: UrlCall) -> int:
    """Returns how many requests may be unanswered. Over HTTP/1.1 each needs a connection; over gRPC all share one."""
    return MAX_IN_FLIGHT if call.is_grpc else max(1, min(MAX_IN_FLIGHT, allowed() - SPARE_FILES))


def check_open_files(call: UrlCall, settings: LoadSettings) -> None:
    """Raises UserError if a closed loop needs more connections than a process may have open."""
    most = in_flight_limit(call)
    if settings.outstanding > most:
        raise UserError(
            f"too many requests in flight: each needs a connection, and a process may open {allowed():,} files here "
            f"(ulimit -Hn). Received: {settings.outstanding:,}. Choose at most {most:,}, or raise that limit."
        )
