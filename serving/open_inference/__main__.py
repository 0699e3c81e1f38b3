"""``python -m serving.open_inference --model_name NAME --model_path FILE.onnx``: serve one ONNX model.

Open Inference Protocol, version 2: REST on ``--http_port``, gRPC on ``--grpc_port``, both on ``--host``
(the loopback address unless told).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from serving.launch import PortInUse, check_port


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line. A mistake ends the process with exit code 2 and one line."""
    parser = argparse.ArgumentParser(prog="python -m serving.open_inference", allow_abbrev=False)
    parser.add_argument("--model_name", required=True, help="name of the model in the protocol's paths")
    parser.add_argument("--model_path", required=True, type=Path, help="the .onnx file")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--http_port", default=8080, type=int)
    parser.add_argument("--grpc_port", default=8081, type=int)
    parser.add_argument("--threads", default=1, type=int, help="compute threads of one prediction")
    chosen = parser.parse_args(argv)
    if not chosen.model_path.is_file():
        parser.error(f"--model_path must be an .onnx file. Received: {chosen.model_path}")
    if chosen.threads < 1:
        parser.error(f"--threads must be 1 or more. Received: {chosen.threads}")
    try:
        # Both before either is served: a server with one port of its own, and one of somebody else's, looks ready.
        for port in (chosen.http_port, chosen.grpc_port):
            check_port(chosen.host, port)
    except PortInUse as error:
        parser.error(str(error))
    return chosen


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    chosen = arguments()
    # After the arguments: KServe takes seconds to import, and reads the command line itself.
    from serving.open_inference.model import OnnxModel
    from serving.open_inference.server import HostModelServer

    model = OnnxModel(chosen.model_name, chosen.model_path, chosen.threads)
    model.load()
    HostModelServer(chosen.host, chosen.http_port, chosen.grpc_port).start([model])


if __name__ == "__main__":
    main()
