"""The routes of the page's back end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError
from pipelines.web import calls, files
from pipelines.web.asking import Outputs, ask_all
from pipelines.web.events import Hub
from pipelines.web.inputs import Given, Reader
from pipelines.web.referee import Referee
from pipelines.web.security import MAX_BODY_BYTES, Keys, Security
from pipelines.web.servers import Fleet
from pipelines.web.states import ServerState, StateWatch, cards

THREADS = 48
"""Threads wait for servers: each call of each input, and each question for a state, takes one."""
REFERENCE_S = 60.0


class Json(Response):
    """An answer in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


@dataclass(slots=True)
class Site:
    """The parts that the routes need."""

    workspace: Workspace
    reader: Reader
    fleet: Fleet
    referee: Referee
    keys: Keys = field(default_factory=Keys)
    hub: Hub = field(default_factory=Hub)
    watch: StateWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = StateWatch(self.fleet, self.reader.spec.name, self._changed)

    def _changed(self, _name: str, _state: ServerState) -> None:
        self.hub.publish("servers", self.cards())

    def cards(self) -> list[dict[str, Any]]:
        """Describe the servers."""
        return cards(self.fleet, self.watch.states)

    async def known(self, given: Given) -> Outputs:
        """Return the reference's outputs. Raises SlipwayError."""
        if given.expected is not None:
            return given.expected
        try:
            return await asyncio.wait_for(asyncio.to_thread(self.referee.outputs, given.arrays), REFERENCE_S)
        except TimeoutError as error:
            raise SlipwayError(f"the reference did not answer within {REFERENCE_S:g} s") from error


def make_app(site: Site, port: int) -> ASGIApp:
    """Return the app that listens on ``port`` of loopback."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        site.watch.sync()
        yield
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
                "texts": spec.text is not None,
                "samples": site.reader.samples,
                "max_body_bytes": MAX_BODY_BYTES,
                "links": files.links(site.workspace, spec.name),
            }
        )

    async def events(_: Request) -> Response:
        return StreamingResponse(site.hub.stream([("servers", site.cards())]), media_type="text/event-stream")

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
        """What a call too long to show reads from a file: the body, or the inputs."""
        asked, query = await given(request), request.query_params
        server, protocol, name = site.fleet[query.get("server", "")], query.get("protocol", ""), query.get("name", "")
        content = await asyncio.to_thread(calls.file, server, protocol, site.reader.spec, asked.arrays, name)
        return Response(content, media_type="application/octet-stream")

    async def report(request: Request) -> Response:
        return files.report(site.workspace, request.path_params["path"].split("/"))

    routes = [
        Route("/", start),
        Route("/page/{name}", files.page_file),
        Route("/plotly-{version}.js", files.plot_library),
        Route("/about", about),
        Route("/events", events),
        Route("/ask", ask, methods=["POST"]),
        Route("/call", call, methods=["POST"]),
        Route("/sent", sent, methods=["POST"]),
        Route("/reports/{path:path}", report),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={SlipwayError: _refused})
    return Security(app, site.keys, port)


async def _lines(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for item in items:
        yield orjson.dumps(item) + b"\n"


async def _refused(_: Request, error: Exception) -> Response:
    return Json({"error": str(error)}, 400)
