"""Serves a SavedModel with KServe's Python server, to compare slipway's with.

    python benchmarks/tf_serving/kserve_server.py NAME FOLDER HTTP_PORT GRPC_PORT

The model is the best that KServe's own terms allow: V1 REST, V2 gRPC, and TensorFlow with the same
threads and the same call as slipway's server. Only the server differs.
"""

from __future__ import annotations

import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model
from kserve.protocol.rest.server import RESTServer

from serving.open_inference.server import HostModelServer
from serving.tf_serving.runtime.saved_model import ONE_THREAD, definitions, load_session, runner


class SavedModel(Model):
    """One SavedModel with the input ``x`` and the output ``y``."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.folder = folder

    def load(self) -> bool:
        session = load_session(self.folder, ONE_THREAD)
        self._run = runner(session, definitions(self.folder)["serving_default"])
        self.ready = True
        return True

    def predict(self, payload: Any, headers: dict[str, str] | None = None) -> Any:  # noqa: ARG002 - KServe's
        if isinstance(payload, InferRequest):
            y = self._run({"x": payload.inputs[0].as_numpy()}, ["y"])["y"]
            output = InferOutput("y", list(y.shape), "FP32")
            output.set_data_from_numpy(y, binary_data=True)
            return InferResponse(payload.id or "", self.name, [output])
        x = np.array(payload["instances"], np.float32)
        return {"predictions": self._run({"x": x}, ["y"])["y"].tolist()}


class KserveServer(HostModelServer):
    """KServe's own REST server: version 1 of its protocol is not served by slipway's."""

    def rest(self) -> Coroutine[Any, Any, None]:
        server = RESTServer("kserve.model_server:app", self.dataplane, self.model_repository_extension, self.http_port)
        server.config.host = self.host
        return server.start()


def main(name: str, folder: str, http_port: str, grpc_port: str) -> None:
    """Serve until SIGTERM."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    model = SavedModel(name, Path(folder))
    model.load()
    sys.argv[1:] = []  # KServe reads the command line itself
    KserveServer("127.0.0.1", int(http_port), int(grpc_port)).start([model])


if __name__ == "__main__":
    main(*sys.argv[1:])
