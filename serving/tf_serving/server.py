"""Both faces over one manager, from start to a graceful end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiohttp import web

from serving.tf_serving import handlers
from serving.tf_serving.config import ModelConfig
from serving.tf_serving.flags import Flags
from serving.tf_serving.grpc_service import grpc_server
from serving.tf_serving.manager import Load, Manager
from serving.tf_serving.ports import bound, taken
from serving.tf_serving.rest import RestFace
from serving.tf_serving.servable import Servable, load
from serving.tf_serving.warmup import run_warmup

log = logging.getLogger(__name__)

FINISH_S = 60.0
"""How long running requests may take after a signal to end."""


async def run(flags: Flags, models: Sequence[ModelConfig]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs.

    Raises:
        PortTakenError: somebody else listens on one of the ports.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    manager = Manager(models, _loader(flags), flags.file_system_poll_wait_seconds)
    rest_port = flags.rest_api_port
    if rest_port and rest_port == flags.port:
        log.error("--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API.")
        rest_port = 0
    grpc_face = None
    if flags.port:
        as_content = flags.enable_serialization_as_tensor_content
        grpc_face = grpc_server(manager, flags.bind_address, flags.port, flags.grpc_max_threads, as_content)
        grpc_face.start()
        log.info("Running gRPC ModelServer at %s:%s", flags.bind_address, flags.port)
    runner = None
    if rest_port:
        pool = ThreadPoolExecutor(flags.rest_api_num_threads, thread_name_prefix="rest")
        runner = web.ServerRunner(RestFace(manager, pool).server(), shutdown_timeout=FINISH_S)
        await runner.setup()
        listening = bound(flags.bind_address, rest_port)
        try:
            await web.SockSite(runner, listening).start()
        except OSError as error:
            raise taken(flags.bind_address, rest_port, error.strerror or str(error)) from error
        log.info("Exporting HTTP/REST API at: %s:%s", flags.bind_address, rest_port)
    manager.start()
    await stop.wait()
    log.info("Finishing what runs")
    manager.stop()
    finished = grpc_face.stop(FINISH_S) if grpc_face else None
    if runner:
        await runner.cleanup()
    if finished:
        await loop.run_in_executor(None, finished.wait)


def _loader(flags: Flags) -> Load:
    def load_and_warm_up(name: str, version: int, folder: Path) -> Servable:
        servable = load(name, version, folder)
        if flags.enable_model_warmup:
            count = run_warmup(folder, lambda request: handlers.predict_proto(servable, request, False))
            if count:
                log.info("Ran %d warm-up requests of %s", count, folder)
        gc.collect()
        return servable

    return load_and_warm_up
