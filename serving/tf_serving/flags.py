"""The command line: tensorflow_model_server's flags, and ``--bind_address``.

Names, meanings and defaults are those of tensorflow/serving (model_servers/main.cc), except that a
prediction computes on one thread unless told otherwise: requests run side by side instead.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

LOOPBACK = "127.0.0.1"
_THREADS = 4 * (os.cpu_count() or 1)
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class FlagError(Exception):
    """A flag that is unknown or not well formed, in one line for the user."""


@dataclass(frozen=True, slots=True)
class Flags:
    """The settings of one server. A port of 0 turns that face off."""

    port: int = 8500
    rest_api_port: int = 0
    bind_address: str = LOOPBACK
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    file_system_poll_wait_seconds: int = 1
    enable_model_warmup: bool = True
    enable_serialization_as_tensor_content: bool = False
    tensorflow_intra_op_parallelism: int = 1
    tensorflow_inter_op_parallelism: int = 1
    grpc_max_threads: int = _THREADS
    rest_api_num_threads: int = _THREADS


_HELP = {
    "port": "port of the gRPC API, 0 for none",
    "rest_api_port": "port of the REST API, 0 for none",
    "bind_address": "address to listen on",
    "model_name": "name of the model under --model_base_path",
    "model_base_path": "absolute path of a folder with one numbered folder per version of the model",
    "model_config_file": "file with a ModelServerConfig in protobuf's text format; names the models instead",
    "file_system_poll_wait_seconds": "pause between two looks for new versions, 0 for a single look",
    "enable_model_warmup": "run assets.extra/tf_serving_warmup_requests before a version is available",
    "enable_serialization_as_tensor_content": "answer over gRPC with tensor_content, which is cheaper to read",
    "tensorflow_intra_op_parallelism": "threads that one operation computes on, 0 for one per core",
    "tensorflow_inter_op_parallelism": "operations that run at the same time, 0 for one per core",
    "grpc_max_threads": "gRPC requests that are worked on at the same time",
    "rest_api_num_threads": "REST requests that are worked on at the same time",
}
_AT_LEAST = {"grpc_max_threads": 1, "rest_api_num_threads": 1}
_AT_MOST = {"port": 65535, "rest_api_port": 65535}


def parse(argv: Sequence[str]) -> Flags:
    """The flags of a command line, in the forms ``--flag=value`` and ``--flag value``.

    Raises:
        FlagError: an unknown flag, a value that is not of the flag's kind, or no model to serve.
    """
    kinds: dict[str, type] = {field.name: type(field.default) for field in fields(Flags)}
    values: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
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
    if not flags.model_base_path and not flags.model_config_file:
        raise FlagError("no model to serve. Received: neither --model_base_path=PATH nor --model_config_file=FILE")
    if not flags.port and not flags.rest_api_port:
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
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise FlagError(f"flag --{name} takes a whole number from {least} to {most}. Received: {text!r}")
    return int(text)


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean --{near[0]}?" if near else "See --help."


def usage() -> str:
    """What ``--help`` prints."""
    rows = [f"  --{field.name}={field.default or ''}\n      {_HELP[field.name]}" for field in fields(Flags)]
    return "\n".join(["usage: python -m serving.tf_serving --model_base_path=PATH [--flag=value ...]", "", *rows])
