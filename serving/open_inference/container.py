"""Starts the Open Inference Protocol server in a container, from the image of this folder's Dockerfile."""

from __future__ import annotations

from math import ceil

from serving.container.probe import speaks_http2
from serving.container.recipe import MODEL, ContainerRecipe, HttpProbe, Image, Metrics, Port, image_of
from serving.launch import LaunchRequest
from serving.open_inference.recipe import served
from serving.open_inference.runtimes import runtime
from serving.open_inference.state import is_ready

VARIABLE = "OPEN_INFERENCE_IMAGE"
IMAGE = "slipway/open-inference"
DEFAULT = "onnxruntime"
"""The runtime of the image that has no runtime in its name."""
MEMORY_STEP_MB = 256
REST, GRPC = 8080, 8081


def container(request: LaunchRequest) -> ContainerRecipe:
    """KServe's Python server with the runtime that loads the model's file. Raises LaunchError if none does."""
    path, name = served(request)
    computes = runtime(name)

    def ready(_inside: object) -> bool:
        host, rest, grpc = request.host, request.rest_port, request.grpc_port
        return is_ready(request.model, host, rest, grpc) and speaks_http2(host, grpc)

    return ContainerRecipe(
        server=f"KServe's Python server, {computes.TITLE}",
        image=_image(name),
        command=(
            "serve",
            "--host=0.0.0.0",
            f"--model_name={request.model}",
            f"--model_path={MODEL}/{request.model}/{path.name}",
            f"--http_port={REST}",
            f"--grpc_port={GRPC}",
            f"--threads={request.threads}",
        ),
        host=request.host,
        ports={
            "open-inference-rest": Port("http", REST, request.rest_port),
            "open-inference-rest-binary": Port("http", REST, request.rest_port),
            "open-inference-grpc": Port("grpc", GRPC, request.grpc_port),
        },
        payload=request.payload,
        env={"OMP_NUM_THREADS": str(request.threads)},
        tmpfs={"/tmp": "size=64m,mode=1777"},  # noqa: S108 - in the container
        probe=HttpProbe(f"/v2/models/{request.model}/ready", REST),
        metrics=Metrics(REST, "/metrics"),
        # Twice what a small model needs.
        memory=f"{ceil(2 * computes.NEEDED_MB / MEMORY_STEP_MB) * MEMORY_STEP_MB}Mi",
        ready=ready,
    )


def _image(name: str) -> Image:
    """Return the image of a runtime; each has a variable of its own."""
    variable, own = VARIABLE, IMAGE
    if name != DEFAULT:
        variable, own = f"OPEN_INFERENCE_{name.replace('-', '_').upper()}_IMAGE", f"{IMAGE}-{name}"
    return image_of(variable, own, own, "serving/open_inference/Dockerfile", f"RUNTIME={name}")
