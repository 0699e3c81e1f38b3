"""Sends at once over TCP, and knows when the kernel received the data that it hands over.

A waiting process is woken 20 to 100 us after the bytes arrive, and later still when it is busy. That is the
reader's delay and not the peer's, so the kernel's own time of arrival is used (SO_TIMESTAMPING, Linux's
Documentation/networking/timestamping.rst). asyncio's transports cannot do this: they do not read with recvmsg(2).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

NS_PER_S = 1_000_000_000
READ_BYTES = 256 * 1024
HIGH_WATER = 64 * 1024
"""Unsent bytes above which the protocol is asked to pause; it may go on at a quarter of them."""
FULL_S = 0.002
"""The time after which the queue of a Unix socket is tried again."""
MOST_PIECES = 512
"""Pieces of one sendmsg(2); Linux takes 1,024."""
STAMPS = 37  # SO_TIMESTAMPING of <asm-generic/socket.h>; Python has no name for it
_SOFTWARE = 1 << 3 | 1 << 4  # SOF_TIMESTAMPING_RX_SOFTWARE, SOF_TIMESTAMPING_SOFTWARE (<linux/net_tstamp.h>)
_STAMP = struct.Struct("@qq")  # the first of three timespecs
_ROOM = socket.CMSG_SPACE(3 * _STAMP.size) if hasattr(socket, "CMSG_SPACE") else 0
_VIEW = memoryview(bytearray(READ_BYTES))
_INTO = (_VIEW,)
_SET_NS = 1_000_000
"""If the offset between wall and monotonic clock jumps by more than this, the wall clock was set; NTP slewing moves
both."""


class StampedTransport(asyncio.Transport):
    """One connected socket. ``received_ns`` is when the last byte of the newest piece arrived (``time.monotonic_ns``).

    Where the system has no such stamps, it is when the piece was read. Use one event loop per process: all
    connections read into the same memory.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": sock, "peername": _peer(sock)})
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stamps = ask_for_stamps(sock)
        self.received_ns = 0
        self._loop, self._sock, self._protocol = loop, sock, protocol
        self._descriptor = sock.fileno()
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._is_reading = self._is_closing = self._is_paused = self._ends = False
        protocol.connection_made(self)
        self.resume_reading()

    # -- reading ------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            if self._stamps:
                size, extra, _, _ = self._sock.recvmsg_into(_INTO, _ROOM)
                # Bytes arrive in order; two readings of the clocks differ by some 100 ns.
                self.received_ns = max(self.received_ns, _WALL.stamp_ns(extra))
                data = bytes(_VIEW[:size])
            else:
                data = self._sock.recv(READ_BYTES)
                self.received_ns = time.monotonic_ns()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            try:
                self._protocol.data_received(data)
            except Exception as error:  # the connection cannot be trusted any more; the event loop reports it
                self._end(OSError(f"unexpected error: {error}"))
                raise
            return
        self.pause_reading()
        if not self._protocol.eof_received():
            self.close()

    def pause_reading(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._descriptor)

    def resume_reading(self) -> None:
        if not self._is_reading and not self._is_closing:
            self._is_reading = True
            self._loop.add_reader(self._descriptor, self._readable)

    def is_reading(self) -> bool:
        return self._is_reading

    # -- writing ------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends what the kernel takes now, and keeps the rest without a copy: ``data`` must not change any more."""
        if self._is_closing:
            return
        if not self._unsent:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self._loop.call_soon(self._end, error)
                return
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            self._loop.add_writer(self._descriptor, self._writable)
        self._unsent.append(memoryview(data))
        self._unsent_bytes += len(data)
        if self._unsent_bytes > HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def _writable(self) -> None:
        try:
            sent = self._sock.sendmsg(islice(self._unsent, MOST_PIECES))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._end(error)
            return
        self._unsent_bytes -= sent
        while self._unsent and sent >= len(self._unsent[0]):
            sent -= len(self._unsent.popleft())
        if sent:
            self._unsent[0] = self._unsent[0][sent:]
        if self._is_paused and self._unsent_bytes <= HIGH_WATER // 4:
            self._is_paused = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)
            self._after_writing()

    def _after_writing(self) -> None:
        if self._is_closing:
            self._end(None)
        elif self._ends:
            self._shut_down()

    def get_write_buffer_size(self) -> int:
        return self._unsent_bytes

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._ends = True
        if not self._unsent:
            self._shut_down()

    def _shut_down(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:  # the peer closed first
            self._loop.call_soon(self._end, error)

    # -- the end ------------------------------------------------------------------------------------

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        """Closes when what was written has been sent."""
        if not self._is_closing:
            self.pause_reading()
            self._is_closing = True
            if not self._unsent:
                self._loop.call_soon(self._end, None)

    def abort(self) -> None:
        self.pause_reading()
        self._is_closing = True
        self._loop.call_soon(self._end, None)

    def _end(self, error: OSError | None) -> None:
        if self._descriptor < 0:
            return
        self.pause_reading()
        self._is_closing = True
        self._loop.remove_writer(self._descriptor)
        self._descriptor = -1
        self._sock.close()
        self._unsent.clear()
        self._protocol.connection_lost(error)


def ask_for_stamps(sock: socket.socket) -> bool:
    """Asks the kernel to stamp what the socket receives from now on; returns whether it can."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, STAMPS, _SOFTWARE)
    except OSError:  # a kernel without it
        return False
    return True


def switched_on() -> socket.socket:
    """Opens a socket that makes the kernel stamp as long as it is open.

    The kernel begins some time after the first socket asks: bytes that arrive until then have no stamp.
    """
    sock = socket.socket()
    ask_for_stamps(sock)
    return sock


class WallClock:
    """Converts the kernel's stamps from the wall clock to the monotonic one."""

    def __init__(self) -> None:
        self._ahead_ns = time.time_ns() - time.monotonic_ns()

    def stamp_ns(self, extra: list[tuple[int, int, bytes]]) -> int:
        """Returns the monotonic time of recvmsg's ancillary data; now, if there is none or the wall clock was set."""
        for _, kind, data in extra:
            if kind == STAMPS and len(data) >= 3 * _STAMP.size:
                # In this order, an interruption between the two makes a stamp later, never earlier.
                wall_ns = time.time_ns()
                now_ns = time.monotonic_ns()
                ahead_ns, before_ns = wall_ns - now_ns, self._ahead_ns
                self._ahead_ns = ahead_ns
                seconds, nanoseconds = _STAMP.unpack_from(data)
                age_ns = wall_ns - seconds * NS_PER_S - nanoseconds
                return now_ns - age_ns if age_ns >= 0 and abs(ahead_ns - before_ns) < _SET_NS else now_ns
        return time.monotonic_ns()


_WALL = WallClock()


Address = tuple[socket.AddressFamily, Any]


def resolve(host: str, port: int) -> Address:
    """Looks up the address of a server. It blocks, so it is called once, before a test. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, address


async def connect(loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, where: Address) -> StampedTransport:
    """Connects to a server. Raises OSError."""
    family, address = where
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_UNIX:
            await _connect_unix(sock, address)
        else:
            await loop.sock_connect(sock, address)
    except OSError as error:
        sock.close()
        if error.errno is None:  # the path of a Unix socket is too long
            raise
        raise OSError(error.errno, os.strerror(error.errno)) from error  # event loops word it differently
    except BaseException:
        sock.close()
        raise
    return StampedTransport(loop, sock, protocol)


async def _connect_unix(sock: socket.socket, path: str) -> None:
    """Connects to a Unix socket; waits while its queue is full, which the kernel does not announce. Raises OSError."""
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            await asyncio.sleep(FULL_S)
        else:
            return


def listen(
    loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol], host: str, port: int
) -> socket.socket:
    """Accepts connections from now on. Raises OSError if it cannot listen on the address."""
    server = socket.create_server((host, port), backlog=4096, family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    server.setblocking(False)
    ask_for_stamps(server)

    def accept() -> None:
        try:
            sock, _ = server.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        StampedTransport(loop, sock, make())

    loop.add_reader(server.fileno(), accept)
    return server


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:  # it has closed already
        return None
