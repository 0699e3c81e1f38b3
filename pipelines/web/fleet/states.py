"""The state of each server, asked twice a second: a server that dies is seen within two seconds."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import orjson

from pipelines.base.errors import UserError
from pipelines.web.fleet.servers import Fleet, KnownServer

EVERY_S = 0.5
ANSWER_S = 1.0
"""With the time between two questions less than the two seconds in which a card must turn."""
MAX_ANSWER_BYTES = 1_000_000
SERVED_BY = "x-served-by"
"""The gateway's header that names the replica which answered: serving/gateway/envoy.yaml."""
SEEN_S = 10.0
"""A replica that has not answered for so long is no longer shown; of two that are idle, one is asked by chance."""
ASKED = {
    "tf-serving-rest": "/v1/models/{model}",
    "open-inference-rest": "/v2/models/{model}",
    "torchserve-rest": "/ping",
}
"""Protocol -> the route that tells if the model is served. At an address of another protocol, an open port tells."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """``versions`` are those of the model that the server names; ``why`` says what is wrong.

    ``replicas`` are those behind a gateway that have answered; none where there is no gateway.
    """

    state: Literal["ready", "not ready", "dead"]
    versions: tuple[str, ...] = ()
    why: str | None = None
    replicas: tuple[str, ...] = ()


def look(server: KnownServer, model: str) -> ServerState:
    """Ask one server how it is; waits ANSWER_S for a connection, and for each part of an answer."""
    running = server.running
    if running is not None and not running.running:
        return ServerState("dead", why=f"ended by itself: {running.exit_text()}")
    urls = server.deployed.urls
    protocol = next((name for name in ASKED if name in urls), None)
    try:
        if protocol is None:
            address = urlsplit(next(iter(urls.values())))
            socket.create_connection((address.hostname or "", address.port or 0), ANSWER_S).close()
            return ServerState("ready")
        path = ASKED[protocol].format(model=quote(model, safe=""))
        status, body, replicas = _get(urls[protocol], path, server.deployed.token())
    except TimeoutError:
        return ServerState("not ready", why=f"no answer within {ANSWER_S:g} s")
    except (OSError, http.client.HTTPException, UserError) as error:
        return ServerState("dead", why=str(error) or type(error).__name__)
    if status != http.HTTPStatus.OK:
        return ServerState("not ready", why=f"{path} answers with status {status}", replicas=replicas)
    return ServerState("ready", _versions(body), replicas=replicas)


def _get(url: str, path: str, token: str | None) -> tuple[int, bytes, tuple[str, ...]]:
    """Return the status, the body, and the replica that a gateway names."""
    address = urlsplit(url)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=ANSWER_S)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        named = answer.getheader(SERVED_BY)
        return answer.status, answer.read(MAX_ANSWER_BYTES), (named,) if named else ()


def _versions(body: bytes) -> tuple[str, ...]:
    """Return the versions in an answer of TF Serving's API or of the Open Inference Protocol; none in another one."""
    try:
        answer = orjson.loads(body)
        states = answer.get("model_version_status", [])
        named = [state["version"] for state in states if state["state"] == "AVAILABLE"] or answer.get("versions") or []
        return tuple(map(str, named))
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return ()


class StateWatch:
    """Watches all servers of a fleet; ``changed`` is called when a state is not what it was."""

    def __init__(self, fleet: Fleet, model: str, changed: Callable[[str, ServerState], None]) -> None:
        self._fleet, self._model, self._changed = fleet, model, changed
        self._tasks: dict[str, tuple[KnownServer, asyncio.Task[None]]] = {}
        self.states: dict[str, ServerState] = {}

    def sync(self) -> None:
        """Watch each server of the fleet; one that took another's place is a new one."""
        for server in self._fleet:
            before, task = self._tasks.get(server.name, (None, None))
            if before is server:
                continue
            if task is not None:
                task.cancel()
            self._tasks[server.name] = server, asyncio.create_task(self._watch(server))

    async def stop(self) -> None:
        """End watching."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, server: KnownServer) -> None:
        seen: dict[str, float] = {}
        while True:
            now = await asyncio.to_thread(look, server, self._model)
            at = time.monotonic()
            seen |= dict.fromkeys(now.replicas, at)
            recent = sorted(name for name, when in seen.items() if at - when < SEEN_S)
            now = replace(now, replicas=tuple(recent) if now.state != "dead" else ())
            if now != self.states.get(server.name):
                self.states[server.name] = now
                self._changed(server.name, now)
            await asyncio.sleep(EVERY_S)


def cards(fleet: Fleet, states: Mapping[str, ServerState]) -> list[dict[str, Any]]:
    """Describe every server for the page; no token is in it."""
    return [_card(server, states.get(server.name)) for server in fleet]


def _card(server: KnownServer, state: ServerState | None) -> dict[str, Any]:
    certificate, manifest = server.certificate, server.artifact.manifest
    return {
        "name": server.name,
        "path": manifest.path,
        "variant": manifest.variant,
        "title": server.title,
        "model": manifest.model,
        "artifact": manifest.artifact_sha256[:12],
        "size_bytes": manifest.size_bytes,
        "urls": dict(server.deployed.urls),
        "ours": server.running is not None,
        "certificate": {
            "passed": certificate.passed,
            "max_abs": certificate.max_abs,
            "sqnr_db": certificate.sqnr_db,
            "min_sqnr_db": certificate.min_sqnr_db,
            "atol": certificate.atol,
        },
        **(asdict(state) if state else {"state": "unknown", "versions": (), "why": None, "replicas": ()}),
    }
