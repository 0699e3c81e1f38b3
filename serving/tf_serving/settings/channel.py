"""``--grpc_channel_arguments``: what of gRPC's settings this server has."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from serving.http2.grpc_server import ServerRules
from serving.tf_serving.base.errors import invalid

log = logging.getLogger(__name__)

_INT32 = re.compile(r"-?[0-9]{1,10}")
_UNLIMITED = 2**31 - 1

FIELDS: Mapping[str, tuple[str, float]] = {
    "grpc.max_concurrent_streams": ("max_streams", 1),
    "grpc.max_receive_message_length": ("max_message", 1),
    "grpc.max_connection_idle_ms": ("max_idle_s", 1e-3),
    "grpc.max_connection_age_ms": ("max_age_s", 1e-3),
}
"""gRPC's name (grpc/impl/channel_arg_names.h): the rule that it sets, and the rule's unit in it."""


def with_arguments(rules: ServerRules, arguments: str) -> ServerRules:
    """The rules, changed by NAME=VALUE,NAME=VALUE. What this server has no use for is logged.

    Raises:
        ServingError: INVALID_ARGUMENT, not of that form, or not a value that the setting can have.
    """
    for argument in filter(None, arguments.split(",")):
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise invalid(f"--grpc_channel_arguments takes NAME=VALUE,NAME=VALUE. Received: {argument}")
        if name not in FIELDS:
            log.warning("--grpc_channel_arguments: %s has no effect here. Those that have: %s", name, ", ".join(FIELDS))
            continue
        field, unit = FIELDS[name]
        if not _INT32.fullmatch(value) or not -1 <= int(value) <= _UNLIMITED or int(value) == 0:
            raise invalid(
                f"{name} takes a whole number from 1 to {_UNLIMITED}, or -1 for no limit. Received: {value!r}"
            )
        number = _UNLIMITED if value == "-1" else int(value)
        change: dict[str, Any] = {field: number if unit == 1 else number * unit}
        rules = replace(rules, **change)
    return rules
