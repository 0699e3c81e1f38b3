"""Run the server: ``python -m serving.tf_serving``. Exit code 2 for a mistake in the flags, 1 for a port in use."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.settings.flags import FlagError, Flags, parse, usage

BAD_FLAGS = 2
CANNOT_LISTEN = 1
NEEDED_BYTES = 700 * 2**20  # imported, with a small model: 740 MB at its peak, some of them files


def main(argv: Sequence[str]) -> int:
    """Run the server; return the exit code."""
    signal.signal(signal.SIGTERM, _leave)  # before the server runs, there is no request to finish
    if {"--help", "-h"} & set(argv):
        print(usage())
        return 0
    try:
        flags = parse(argv)
    except FlagError as error:
        return _say(str(error), BAD_FLAGS)
    if flags.version:
        return _show_version()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    return _serve(flags)


def _serve(flags: Flags) -> int:
    from serving.limits import give_memory_back, memory_limit, shortage
    from serving.tf_serving.base.ports import PortTakenError, check_port

    wrong = shortage("TensorFlow", NEEDED_BYTES, memory_limit())
    if wrong is not None:
        return _say(wrong, BAD_FLAGS)
    try:
        for port in {flags.port, flags.rest_api_port} - {0}:
            check_port(flags.bind_address, port)  # before TensorFlow is imported, which takes seconds
    except PortTakenError as error:
        return _say(str(error), CANNOT_LISTEN)
    give_memory_back()
    _set_up_tensorflow(flags)
    from serving.tf_serving.server import run
    from serving.tf_serving.settings.models import model_configs

    try:
        models = model_configs(flags)
        _event_loop_policy()
        asyncio.run(run(flags, models))
    except PortTakenError as error:
        return _say(str(error), CANNOT_LISTEN)
    except ServingError as error:
        return _say(f"Failed to start server. Error: {error}", BAD_FLAGS)
    return 0


def _show_version() -> int:
    from importlib.metadata import version

    api = version("tensorflow-serving-api")
    print(f"TensorFlow ModelServer: {api} (slipway's, of that API)\nTensorFlow Library: {version('tensorflow')}")
    return 0


def _set_up_tensorflow(flags: Flags) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # at 2, no GPU is an error; those of a model are exceptions
    from serving.lean import import_lean

    import_lean()
    import tensorflow as tf

    tf.get_logger().setLevel(logging.ERROR)  # it warns at each load that sessions belong to TensorFlow 1
    # Threads within an operation are set for the whole process, not per session.
    intra_op = flags.tensorflow_session_parallelism or flags.tensorflow_intra_op_parallelism
    tf.config.threading.set_intra_op_parallelism_threads(intra_op)


def _event_loop_policy() -> None:
    try:
        import uvloop
    except ImportError:
        return  # not available on every platform; asyncio's own loop works too, but is slower
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _say(line: str, code: int) -> int:
    print(f"tf_serving: {line}", file=sys.stderr)
    return code


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # sys.exit would wait for a model that is still loading, or destroy it while its thread runs.
    os._exit(code)
