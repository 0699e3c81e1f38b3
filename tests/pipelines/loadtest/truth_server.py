"""A server whose behaviour is known: the ground truth for the load test.

``python truth_server.py http|grpc`` prints its port and serves on loopback. The path says what to do:

    /echo/MS                  the body, after MS milliseconds
    /stall/AFTER/FOR/MS       as echo, but from AFTER ms past the first request, nothing is answered for FOR ms
    /serial/MS                as echo, one request at a time
    /every/N/BEHAVIOUR        each Nth request meets BEHAVIOUR, the others echo at once
    /wrong, /error, /silent   a wrong body; an error; no answer
    HTTP only: /chunked (in several chunks), /close (and Connection: close), /reset (in mid-body), /drop (no answer)
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections import Counter

LOOPBACK = "127.0.0.1"
_first: dict[str, float] = {}
_seen: Counter[str] = Counter()
_lock = asyncio.Lock()


async def behave(path: str) -> str:
    """Waits as the path says; returns the behaviour."""
    _, behaviour, *numbers = path.split("/")
    if behaviour == "every":
        _seen[path] += 1
        return numbers[1] if _seen[path] % int(numbers[0]) == 0 else "echo"
    if behaviour == "echo":
        await asyncio.sleep(int(numbers[0]) / 1000)
    elif behaviour == "serial":
        async with _lock:
            await asyncio.sleep(int(numbers[0]) / 1000)
    elif behaviour == "stall":
        after, length, delay = (int(number) / 1000 for number in numbers)
        begin = _first.setdefault(path, time.monotonic()) + after
        await asyncio.sleep(delay)
        if begin <= time.monotonic() < begin + length:
            await asyncio.sleep(begin + length - time.monotonic())
    return behaviour


async def http_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            path = head.split(" ", 2)[1]
            length = next(int(x.split(":")[1]) for x in head.splitlines() if x.lower().startswith("content-length:"))
            body = await reader.readexactly(length)
            behaviour = await behave(path)
            if not await http_answer(writer, behaviour, body):
                break
    writer.close()


async def http_answer(writer: asyncio.StreamWriter, behaviour: str, body: bytes) -> bool:
    """Whether the connection goes on."""
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    if behaviour == "silent":
        await asyncio.sleep(3600)
    elif behaviour == "error":
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\ntoo  busy")
    elif behaviour == "wrong":
        writer.write(ok % 5 + b"wrong")
    elif behaviour == "chunked":
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 100):
            piece = body[start : start + 100]
            writer.write(b"%x;note=1\r\n%s\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        writer.write(b"0\r\nTrailer: 1\r\n\r\n")
    elif behaviour == "close":
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
        return False
    elif behaviour == "drop":
        return False
    elif behaviour == "reset":
        writer.write(ok % (len(body) + 10) + body)
        await asyncio.sleep(0.01)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False
    else:
        writer.write(ok % len(body) + body)
    return True


async def serve_http() -> None:
    server = await asyncio.start_server(http_connection, LOOPBACK, 0, limit=2**22, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def serve_grpc() -> None:
    import grpc

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            async def answer(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
                behaviour = await behave(details.method)
                if behaviour == "error":
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "too  busy")
                if behaviour == "metadata":
                    return dict(context.invocation_metadata())["authorization"].encode()
                if behaviour == "silent":
                    await asyncio.sleep(3600)
                return b"wrong" if behaviour == "wrong" else body

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers((Handler(),))
    print(server.add_insecure_port(f"{LOOPBACK}:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run({"http": serve_http, "grpc": serve_grpc}[sys.argv[1]]())
