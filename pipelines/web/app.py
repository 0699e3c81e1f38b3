"""The routes of the page's back end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pipelines.base.errors import SlipwayError, UserError
from pipelines.paths.browser.page import packed
from pipelines.run.options import SCENARIOS
from pipelines.web import calls, files
from pipelines.web.asking import ask_all, said
from pipelines.web.events import Event
from pipelines.web.inputs import Given
from pipelines.web.loads import read_order
from pipelines.web.runtimes import verdict_of
from pipelines.web.security import MAX_BODY_BYTES, Security
from pipelines.web.site import Site

THREADS = 48
"""Threads wait for servers: each call of each input, and each question for a state, takes one."""


class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def make_app(site: Site, port: int) -> ASGIApp:
    """Return the app that listens on ``port`` of loopback."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        site.watch.sync()
        yield
        await site.loads.close()
        await site.watch.stop()

    async def start(_: Request) -> Response:
        return files.index(site.keys.csrf, site.reader.spec.title)

    async def about(_: Request) -> Response:
        spec = site.reader.spec
        picture = spec.picture
        return Json(
            {
                "model": spec.name,
                "title": spec.title,
                "picture": None if picture is None else {"width": picture.width, "height": picture.height},
                "digits": picture is not None and picture.channels == 1,
                "texts": spec.text is not None or spec.raw_text is not None,
                "samples": site.reader.samples,
                "max_body_bytes": MAX_BODY_BYTES,
                "rate_per_s": spec.rate_per_s,
                "scenarios": SCENARIOS,
                "control": site.control is not None,
                "in_browser": site.shelf.listed(),
                "links": files.links(site.workspace, spec.name) | site.links,
            }
        )

    async def events(_: Request) -> Response:
        def now() -> list[Event]:
            return [("servers", site.cards()), ("load", site.loads.state())]

        return StreamingResponse(site.hub.stream(now), media_type="text/event-stream")

    async def given(request: Request) -> Given:
        body, kind = await request.body(), request.headers.get("content-type", "")
        return await asyncio.to_thread(site.reader.read, kind, body)

    async def ask(request: Request) -> Response:
        asked = await given(request)
        lines = ask_all(list(site.fleet), site.reader.spec, asked, site.known(asked))
        return StreamingResponse(_lines(lines), media_type="application/x-ndjson")

    async def call(request: Request) -> Response:
        asked, server = await given(request), site.fleet[request.query_params.get("server", "")]
        protocol = request.query_params.get("protocol", "")
        return Json(asdict(await asyncio.to_thread(calls.shown, server, protocol, site.reader.spec, asked.arrays)))

    async def sent(request: Request) -> Response:
        """Send what a call that is too long to show reads from a file: the body, or the inputs."""
        asked, query = await given(request), request.query_params
        server, protocol, name = site.fleet[query.get("server", "")], query.get("protocol", ""), query.get("name", "")
        content = await asyncio.to_thread(calls.file, server, protocol, site.reader.spec, asked.arrays, name)
        return Response(content, media_type="application/octet-stream")

    async def inputs(request: Request) -> Response:
        """The arrays of an input, for the models that run in the visitor's browser."""
        return Json(packed((await given(request)).arrays))

    async def in_browser(request: Request) -> Response:
        return site.shelf.file(request.path_params["name"], request.path_params["path"])

    async def judge(request: Request) -> Response:
        spec = site.reader.spec
        model, asked, answer = site.shelf.judged(await _json(request), spec)
        try:
            expected = await site.known(asked)
        except SlipwayError:
            return Json(said(answer, spec))  # the line of the reference says why there is none
        return Json(await asyncio.to_thread(verdict_of, model, asked, answer, expected, spec))

    async def load(request: Request) -> Response:
        site.loads.start(read_order(await _json(request)))
        return Json({})

    async def stop(_: Request) -> Response:
        site.loads.stop()
        return Json({})

    async def control(request: Request) -> Response:
        if site.control is None:
            raise UserError("servers are changed with `slipway web --allow-control` only")
        return Json({"done": await site.control.act(await _json(request))})

    async def report(request: Request) -> Response:
        return await asyncio.to_thread(files.report, site.workspace, request.path_params["path"].split("/"))

    routes = [
        Route("/", start),
        Route("/page/{name}", files.page_file),
        Route("/plotly-{version}.js", files.plot_library),
        Route("/about", about),
        Route("/events", events),
        Route("/ask", ask, methods=["POST"]),
        Route("/call", call, methods=["POST"]),
        Route("/sent", sent, methods=["POST"]),
        Route("/inputs", inputs, methods=["POST"]),
        Route("/in-browser/{name}/{path:path}", in_browser),
        Route("/judge", judge, methods=["POST"]),
        Route("/load", load, methods=["POST"]),
        Route("/load/stop", stop, methods=["POST"]),
        Route("/control", control, methods=["POST"]),
        Route("/reports/{path:path}", report),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={SlipwayError: _refused})
    return Security(app, site.keys, port)


async def _lines(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for item in items:
        yield orjson.dumps(item) + b"\n"


async def _json(request: Request) -> Any:
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise UserError(f"expected JSON. Received: {error}") from error


async def _refused(_: Request, error: Exception) -> Response:
    return Json({"error": str(error)}, 400)
