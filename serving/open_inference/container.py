"""Starts the Open Inference Protocol server in a container, from the image of this folder's Dockerfile."""

from __future__ import annotations

from serving.container.probe import speaks_http2
from serving.container.recipe import MODEL, ContainerRecipe, HttpProbe, Metrics, Port, image_of
from serving.launch import LaunchRequest
from serving.open_inference.state import is_ready

VARIABLE = "OPEN_INFERENCE_IMAGE"
IMAGE = "slipway/open-inference"
REST, GRPC = 8080, 8081


def container(request: LaunchRequest) -> ContainerRecipe:
    """KServe's Python server with ONNX Runtime for ``MODEL/model.onnx`` of the payload."""

    def ready(_inside: object) -> bool:
        host, rest, grpc = request.host, request.rest_port, request.grpc_port
        return is_ready(request.model, host, rest, grpc) and speaks_http2(host, grpc)

    return ContainerRecipe(
        server="KServe's Python server, ONNX Runtime",
        image=image_of(VARIABLE, IMAGE, IMAGE, "serving/open_inference/Dockerfile"),
        command=(
            "serve",
            "--host=0.0.0.0",
            f"--model_name={request.model}",
            f"--model_path={MODEL}/{request.model}/model.onnx",
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
        memory="512Mi",
        ready=ready,
    )
