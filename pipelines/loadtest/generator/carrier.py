"""Chooses the transport of a call, and sends single requests with it before a test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pipelines.loadtest.generator.transport import Finished, Transport
from pipelines.loadtest.recording import Outcome
from pipelines.loadtest.request import UrlCall


class NoAnswerError(Exception):
    """A request was not answered, or its answer is no success."""


def transport_of(call: UrlCall, bodies: Sequence[bytes], finished: Finished) -> Transport:
    """Returns the transport of a call. Raises OSError if the host is unknown or a file of TLS cannot be used."""
    if call.is_grpc:
        from pipelines.loadtest.generator.grpc import GrpcTransport

        return GrpcTransport(call, bodies, finished)
    from pipelines.loadtest.generator.http import HttpTransport

    return HttpTransport(call, bodies, finished)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Returns the fastest event loop of this system."""
    try:
        import uvloop
    except ImportError:  # it does not exist for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def ask(call: UrlCall, bodies: Sequence[bytes], timeout_s: float) -> list[bytes]:
    """Sends each body once, one after the other, over the transport of the test; returns the answers.

    Raises NoAnswerError, with the reason, for the first that is not answered with success within ``timeout_s``.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_asked(call, bodies, timeout_s))


async def _asked(call: UrlCall, bodies: Sequence[bytes], timeout_s: float) -> list[bytes]:
    ended: asyncio.Queue[tuple[int, Outcome, int, bytes, str, int]] = asyncio.Queue()

    def finished(index: int, outcome: Outcome, done_ns: int, answer: bytes, error: str, first_ns: int = 0) -> None:
        ended.put_nowait((index, outcome, done_ns, answer, error, first_ns))

    answers = []
    try:
        transport = transport_of(call, bodies, finished)
    except OSError as error:
        raise NoAnswerError(error.strerror or str(error)) from error
    try:
        for index in range(len(bodies)):
            transport.send(index)
            async with asyncio.timeout(timeout_s):
                _, outcome, _, answer, text, _ = await ended.get()
            if outcome is not Outcome.ANSWERED:
                raise NoAnswerError(text)
            answers.append(answer)
    except TimeoutError as error:
        raise NoAnswerError(f"no answer within {timeout_s:g} s") from error
    finally:
        await transport.close()
    return answers
