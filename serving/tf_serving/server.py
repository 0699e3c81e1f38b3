"""Run the REST and gRPC servers over one manager, from start to a graceful end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from serving.limits import Held, half_of_memory
from serving.tf_serving.base.ports import bound, taken
from serving.tf_serving.base.workers import Outbox, Workers
from serving.tf_serving.calls.warmup import warm_up
from serving.tf_serving.grpc_api.server import GrpcServer
from serving.tf_serving.grpc_api.service import services
from serving.tf_serving.rest_api.face import RestFace, RestRules
from serving.tf_serving.rest_api.server import HttpServer
from serving.tf_serving.runtime.queue import Scheduler
from serving.tf_serving.runtime.saved_model import Parallelism
from serving.tf_serving.runtime.servable import Servable, load
from serving.tf_serving.settings.batching import BatchingParameters, batching_parameters
from serving.tf_serving.settings.flags import Flags
from serving.tf_serving.settings.models import Models
from serving.tf_serving.settings.monitoring import metrics_path
from serving.tf_serving.versions.follow import ConfigFile
from serving.tf_serving.versions.labels import LabelRules
from serving.tf_serving.versions.loader import Load, Retries
from serving.tf_serving.versions.manager import Manager, VersionRules
from serving.wire.addresses import host_port

log = logging.getLogger(__name__)

FINISH_S = 60.0
"""Seconds that running requests may take after the signal to end."""
MAX_WAITING = 64
"""Threads that batching may add to each API beyond the flags; an idle one costs 50 KB."""


async def run(flags: Flags, models: Models | None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the running requests.

    Raises:
        PortTakenError: one of the ports is in use.
        ServingError: a label, a certificate or another setting cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    batching = batching_parameters(flags.enable_batching, flags.batching_parameters_file)
    flags = _with_threads(flags, batching)
    manager = Manager(models, _loader(flags, batching), _rules(flags))
    held = Held(flags.max_held_request_bytes or half_of_memory())
    rest_rules = _rest_rules(flags, held)
    grpc_face = None
    if flags.port or flags.grpc_socket_path:
        workers, outbox = Workers(flags.grpc_max_threads, "grpc"), Outbox(loop)
        grpc_face = GrpcServer(services(manager, flags, workers, outbox), flags, held)
        await grpc_face.start()
        where = host_port(flags.bind_address, flags.port)
        log.info("Running gRPC ModelServer at %s %s", where, flags.grpc_socket_path)
    rest_face = await _rest_face(manager, flags, rest_rules)
    _leave_alone_what_stays()
    manager.start()
    config_file = ConfigFile(manager, flags.model_config_file, flags.model_config_file_poll_wait_seconds)
    if flags.model_config_file and flags.model_config_file_poll_wait_seconds:
        config_file.start()
    await stop.wait()
    log.info("Finishing running requests")
    config_file.stop()
    manager.stop()
    endings = [grpc_face.stop(FINISH_S)] if grpc_face else []
    if rest_face:
        endings.append(rest_face.stop(FINISH_S))
    await asyncio.gather(*endings)


def _leave_alone_what_stays() -> None:
    """Hide all imported objects from the garbage collector: 390,000 objects that are never freed.

    A full collection then takes 0.7 ms instead of 330 ms, during which every request would wait. One runs for each
    dropped version, and for some requests that are read as lists (20 ms of CPU instead of 90 for 3 MB).
    """
    gc.collect()
    gc.freeze()


async def _rest_face(manager: Manager, flags: Flags, rules: RestRules) -> HttpServer | None:
    if not flags.rest_api_port:
        return None
    if flags.rest_api_port == flags.port:
        log.error("--rest_api_port cannot be same as --port. Please use a different port for HTTP/REST API.")
        return None
    pool = ThreadPoolExecutor(flags.rest_api_num_threads, thread_name_prefix="rest")
    server = RestFace(manager, pool, rules).server()
    try:
        await server.start(bound(flags.bind_address, flags.rest_api_port))
    except OSError as error:
        raise taken(flags.bind_address, flags.rest_api_port, error.strerror or str(error)) from error
    log.info("Exporting HTTP/REST API at: %s", host_port(flags.bind_address, flags.rest_api_port))
    return server


def _with_threads(flags: Flags, batching: BatchingParameters | None) -> Flags:
    """Raise the number of threads so that a batch can fill: each request that waits for its batch holds one thread."""
    if batching is None:
        return flags
    wanted = min(2 * batching.max_execution_batch_size, MAX_WAITING)
    return replace(
        flags,
        grpc_max_threads=max(wanted, flags.grpc_max_threads),
        rest_api_num_threads=max(wanted, flags.rest_api_num_threads),
    )


def _rules(flags: Flags) -> VersionRules:
    return VersionRules(
        flags.file_system_poll_wait_seconds,
        Retries(flags.max_num_load_retries, max(0, flags.load_retry_interval_micros) / 1e6),
        LabelRules(
            flags.allow_version_labels_for_unavailable_models,
            flags.force_allow_any_version_labels_for_unavailable_models,
        ),
    )


def _rest_rules(flags: Flags, held: Held) -> RestRules:
    return RestRules(
        flags.rest_api_timeout_in_ms / 1000,
        flags.rest_api_max_request_bytes,
        flags.rest_api_max_gzip_ratio,
        flags.rest_api_enable_cors_support,
        metrics_path(flags.monitoring_config_file),
        flags.enable_signature_method_name_check,
        held,
    )


def _loader(flags: Flags, batching: BatchingParameters | None) -> Load:
    scheduler = Scheduler(batching) if batching else None
    both = flags.tensorflow_session_parallelism
    parallelism = Parallelism(
        both or flags.tensorflow_intra_op_parallelism, both or flags.tensorflow_inter_op_parallelism
    )

    def load_and_warm_up(name: str, version: int, folder: Path) -> Servable:
        servable = load(name, version, folder, scheduler, flags.prefer_tflite_model, parallelism)
        if flags.enable_model_warmup:
            iterations = flags.num_request_iterations_for_warmup or 1
            count = warm_up(servable, folder, iterations, flags.enable_signature_method_name_check)
            if count:
                log.info("Ran %d warm-up requests of %s", count, folder)
        gc.collect()
        return servable

    return load_and_warm_up
