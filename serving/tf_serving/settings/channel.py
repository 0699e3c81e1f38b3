"""Read ``--grpc_channel_arguments``: the gRPC settings that this server supports."""

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
"""gRPC's name (grpc/impl/channel_arg_names.h) -> the rule it sets, and the factor to the rule's unit."""


def with_arguments(rules: ServerRules, arguments: str) -> ServerRules:
    """Apply NAME=VALUE,NAME=VALUE to the rules. Names that this server does not support are logged.

    Raises:
        ServingError: INVALID_ARGUMENT, for another form or an invalid value.
    """
    for argument in filter(None, arguments.split(",")):
        name, equals, value = argument.partition("=")
        if not name or not equals:
            raise invalid(f"--grpc_channel_arguments takes NAME=VALUE,NAME=VALUE. Received: {argument}")
        if name not in FIELDS:
            log.warning("--grpc_channel_arguments: %s has no effect here. Supported: %s", name, ", ".join(FIELDS))
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
