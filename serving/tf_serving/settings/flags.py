"""Parse the command line: tensorflow_model_server's flags, ``--bind_address``, and limits of bodies.

Names, meanings and defaults are those of tensorflow/serving (model_servers/main.cc), with one exception: a
prediction computes on one thread by default, because requests run in parallel.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

LOOPBACK = "127.0.0.1"
_THREADS = 4 * (os.cpu_count() or 1)
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class FlagError(Exception):
    """A flag is unknown or malformed; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The settings of one server. A port of 0 turns that API off."""

    port: int = 8500
    grpc_socket_path: str = ""
    rest_api_port: int = 0
    bind_address: str = LOOPBACK
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: int = 0
    allow_version_labels_for_unavailable_models: bool = False
    force_allow_any_version_labels_for_unavailable_models: bool = False
    file_system_poll_wait_seconds: int = 1
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    enable_model_warmup: bool = True
    enable_batching: bool = False
    batching_parameters_file: str = ""
    prefer_tflite_model: bool = False
    num_request_iterations_for_warmup: int = 0
    saved_model_tags: str = "serve"
    enable_signature_method_name_check: bool = False
    enable_serialization_as_tensor_content: bool = False
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 1
    tensorflow_inter_op_parallelism: int = -1
    grpc_max_threads: int = _THREADS
    grpc_max_gzip_ratio: int = 100
    grpc_channel_arguments: str = ""
    ssl_config_file: str = ""
    enable_grpc_healthcheck_service: bool = False
    rest_api_num_threads: int = _THREADS
    rest_api_timeout_in_ms: int = 30_000
    rest_api_max_request_bytes: int = 2**31 - 1
    rest_api_max_gzip_ratio: int = 100
    max_held_request_bytes: int = 0
    rest_api_enable_cors_support: bool = False
    monitoring_config_file: str = ""
    version: bool = False


_HELP = {
    "port": "port of the gRPC API, 0 to turn it off",
    "grpc_socket_path": "path of a UNIX socket on which gRPC also listens",
    "rest_api_port": "port of the REST API, 0 to turn it off",
    "bind_address": "address to listen on",
    "model_name": "name of the model under --model_base_path",
    "model_base_path": "absolute path of a folder with one numbered folder per version of the model",
    "model_config_file": "file with a ModelServerConfig in protobuf's text format; replaces --model_base_path",
    "model_config_file_poll_wait_seconds": "seconds between two reads of --model_config_file, 0 to read it once",
    "allow_version_labels_for_unavailable_models": "allow a new label for an unavailable version",
    "force_allow_any_version_labels_for_unavailable_models": "allow any label for an unavailable version",
    "file_system_poll_wait_seconds": "seconds between two searches for new versions, 0 to search once",
    "max_num_load_retries": "number of retries after a version failed to load",
    "load_retry_interval_micros": "microseconds between two attempts to load a version, negative for no pause",
    "enable_model_warmup": "run assets.extra/tf_serving_warmup_requests before a version becomes available",
    "enable_batching": "run requests that arrive at about the same time as one batch",
    "batching_parameters_file": "file with BatchingParameters in protobuf's text format",
    "prefer_tflite_model": "run a version's model.tflite with LiteRT if there is one",
    "num_request_iterations_for_warmup": "number of runs of each warm-up request, 0 for one",
    "saved_model_tags": "tags of the graph to load; only serve is supported",
    "enable_signature_method_name_check": "allow classify and regress only for signatures with that method name",
    "enable_serialization_as_tensor_content": "answer over gRPC with tensor_content, which is faster to read",
    "tensorflow_session_parallelism": "set both of the next two flags, 0 to leave them unchanged",
    "tensorflow_intra_op_parallelism": "threads of one operation, 0 for one per core",
    "tensorflow_inter_op_parallelism": "parallel operations, 0 for one per core, -1 to use the request's thread only",
    "grpc_max_threads": "gRPC requests processed at the same time",
    "grpc_max_gzip_ratio": "largest ratio of a gRPC message's decompressed to compressed size, beyond 1 MiB",
    "grpc_channel_arguments": "comma-separated settings of the gRPC server, such as grpc.max_connection_age_ms=2000",
    "ssl_config_file": "file with an SSLConfig in protobuf's text format: gRPC speaks TLS (REST never does)",
    "enable_grpc_healthcheck_service": "also answer grpc.health.v1.Health",
    "rest_api_num_threads": "REST requests processed at the same time",
    "rest_api_timeout_in_ms": "milliseconds allowed for one REST request, and for its body to arrive",
    "rest_api_max_request_bytes": "largest body of a REST request in bytes, compressed or not",
    "rest_api_max_gzip_ratio": "largest ratio of a body's decompressed to compressed size, beyond 1 MiB",
    "max_held_request_bytes": "bytes of all requests held together, REST and gRPC, 0 for half of the memory",
    "rest_api_enable_cors_support": "allow web pages of other origins to call the REST API",
    "monitoring_config_file": "file with a MonitoringConfig in protobuf's text format; turns metrics on",
    "version": "print the version and exit",
}
_AT_LEAST = {
    "tensorflow_inter_op_parallelism": -1,
    "grpc_max_threads": 1,
    "grpc_max_gzip_ratio": 1,
    "rest_api_num_threads": 1,
    "rest_api_timeout_in_ms": 1,
    "rest_api_max_request_bytes": 1,
    "rest_api_max_gzip_ratio": 1,
    "load_retry_interval_micros": -(2**63),
}
_AT_MOST = {
    "port": 65535,
    "rest_api_port": 65535,
    "load_retry_interval_micros": 2**63 - 1,
    "rest_api_max_request_bytes": 2**63 - 1,
    "max_held_request_bytes": 2**63 - 1,
}

WITHOUT_EFFECT = {
    "flush_filesystem_caches": "TensorFlow's Python API keeps no such caches",
    "num_load_threads": "versions are loaded one after the other",
    "num_unload_threads": "versions are unloaded one after the other",
    "per_process_gpu_memory_fraction": "this server computes on CPUs",
    "remove_unused_fields_from_bundle_metagraph": "TensorFlow itself keeps the graph",
    "xla_cpu_compilation_enabled": "a model that requests XLA always gets it",
    "enable_profiler": "there is no profiler service",
    "use_tfrt": "there is only one runtime",
}
"""Flags of tensorflow_model_server that are accepted and change nothing, with the reason."""


def parse(argv: Sequence[str]) -> Flags:
    """Parse the flags of a command line, in the forms ``--flag=value`` and ``--flag value``.

    Raises:
        FlagError: an unknown flag, a value of the wrong type, or no model to serve.
    """
    kinds: dict[str, type] = {field.name: type(field.default) for field in fields(Flags)}
    values: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in WITHOUT_EFFECT:
            if not equals and words and not words[0].startswith("--"):
                words.pop(0)
            continue
        if not word.startswith("--") or name not in kinds:
            raise FlagError(f"unknown flag. Received: {word}. {_hint(name, list(kinds))}")
        if not equals:
            if kinds[name] is bool and (not words or words[0].lower() not in _WORDS):
                text = "true"
            elif not words:
                raise FlagError(f"flag --{name} needs a value: --{name}=VALUE. Received: nothing after it")
            else:
                text = words.pop(0)
        values[name] = _value(name, kinds[name], text)
    flags = Flags(**values)
    if flags.version:
        return flags
    if flags.saved_model_tags != "serve":
        raise FlagError(f"flag --saved_model_tags takes serve only. Received: {flags.saved_model_tags!r}")
    if not flags.model_base_path and not flags.model_config_file:
        raise FlagError("no model to serve. Received: neither --model_base_path=PATH nor --model_config_file=FILE")
    if not flags.port and not flags.rest_api_port and not flags.grpc_socket_path:
        raise FlagError("nothing to listen on. Received: --port=0 without --rest_api_port=PORT")
    return flags


def _value(name: str, kind: type, text: str) -> Any:
    if kind is str:
        return text
    if kind is bool:
        if text.lower() not in _WORDS:
            raise FlagError(f"flag --{name} takes true or false. Received: {text!r}")
        return _WORDS[text.lower()]
    least, most = _AT_LEAST.get(name, 0), _AT_MOST.get(name, 2**31 - 1)
    if not (_INTEGER.fullmatch(text) and least <= int(text) <= most):
        raise FlagError(f"flag --{name} takes a whole number from {least} to {most}. Received: {text!r}")
    return int(text)


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean --{near[0]}?" if near else "See --help."


def usage() -> str:
    """Return the text of ``--help``."""
    rows = [f"  --{field.name}={field.default or ''}\n      {_HELP[field.name]}" for field in fields(Flags)]
    ignored = [f"  --{name}\n      {reason}" for name, reason in WITHOUT_EFFECT.items()]
    first = "usage: python -m serving.tf_serving --model_base_path=PATH [--flag=value ...]"
    return "\n".join([first, "", *rows, "", "Accepted without effect:", *ignored])
