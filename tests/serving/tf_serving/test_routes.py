"""docs/routes.md names every route of the server, and says who may call it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from routes import documented, filled, grpc_status

from serving.tf_serving.base.workers import Outbox, Workers
from serving.tf_serving.grpc_api.health import Health
from serving.tf_serving.grpc_api.service import services
from serving.tf_serving.rest_api.urls import METHODS, route
from serving.tf_serving.settings.flags import Flags
from serving.tf_serving.settings.monitoring import DEFAULT_PATH
from serving.tf_serving.versions.labels import LabelRules
from serving.tf_serving.versions.loader import Retries
from serving.tf_serving.versions.manager import Manager, VersionRules

TABLE = documented("TF Serving's API")
ENDS = {"status": "", "metadata": "/metadata"}


def no_model(name: str, version: int, folder: Path) -> Any:
    raise AssertionError("nothing is loaded here")


async def grpc_methods() -> set[str]:
    manager = Manager(None, no_model, VersionRules(1, Retries(0, 0), LabelRules(False, False)))
    offered = services(manager, Flags(), Workers(1, "unused"), Outbox(asyncio.get_running_loop()))
    return {path.decode() for path in offered | Health().methods()}


def test_the_table_has_every_route() -> None:
    paths = {
        f"{verb} /v1/models/{{model}}{ENDS.get(method, f':{method}')}"
        for verb, methods in METHODS.items()
        for method in methods
    }
    for path in paths:
        found = route(*filled(path, "any"))
        assert found is not None
        assert path.endswith(ENDS.get(found.method, f":{found.method}"))
    rest = {("REST", path) for path in {*paths, f"GET {DEFAULT_PATH}"}}
    assert set(TABLE) == rest | {("gRPC", path) for path in asyncio.run(grpc_methods())}


def test_the_server_keeps_to_it(
    half_plus_two: Path, tmp_path: Path, run_server: Callable[..., AbstractContextManager[Any]]
) -> None:
    flags = ("--model_name=half_plus_two", f"--model_base_path={half_plus_two.parent}")
    with run_server(tmp_path, half_plus_two.parent, "half_plus_two", *flags) as server, server.channel() as channel:
        for (port, path), who in TABLE.items():
            if port == "gRPC":
                is_closed = grpc_status(channel, path).startswith("UNIMPLEMENTED")
            else:
                verb, filled_path = filled(path, "half_plus_two")
                is_closed = server.ask(filled_path, b"{}" if verb == "POST" else None)[0] == 404
            assert is_closed == (who == "nobody"), path
