"""Starts TorchServe in a container, from the image of this folder's Dockerfile."""

from __future__ import annotations

from serving.container.recipe import MODEL, ContainerRecipe, ExecProbe, Inside, Metrics, Port, Secret, image_of
from serving.launch import LaunchRequest

VARIABLE = "TORCHSERVE_IMAGE"
IMAGE = "slipway/torchserve"
REST, GRPC, METRICS = 8080, 7070, 8082
_PROGRAM = ("python", "-m", "serving.torchserve")


def container(request: LaunchRequest) -> ContainerRecipe:
    """TorchServe for ``model-store/MODEL.mar`` of the payload; it writes to memory only."""
    model, host = f"--model_name={request.model}", "--host=0.0.0.0"

    def ready(inside: Inside) -> bool:
        # Its management API, which knows the workers, listens within the container only.
        return inside.run(*_PROGRAM, "ready", model, host)[0] == 0

    def token(inside: Inside) -> str:
        code, key = inside.run(*_PROGRAM, "token")
        if code != 0:
            raise OSError("TorchServe has no key yet")
        return key.strip()

    return ContainerRecipe(
        server="TorchServe",
        image=image_of(VARIABLE, IMAGE, IMAGE, "serving/torchserve/Dockerfile"),
        command=(
            "serve",
            host,
            model,
            f"--model_store={MODEL}/model-store",
            f"--threads={request.threads}",
            "--metrics_host=0.0.0.0",
        ),
        host=request.host,
        ports={
            "torchserve-rest": Port("http", REST, request.rest_port),
            "torchserve-rest-binary": Port("http", REST, request.rest_port),
            "torchserve-grpc": Port("grpc", GRPC, request.grpc_port),
        },
        payload=request.payload,
        # Executable: Java loads its socket library there.
        tmpfs={"/run/torchserve": "size=512m,mode=0700,uid=10001,gid=10001,exec"},
        probe=ExecProbe((*_PROGRAM, "ready", model, host)),
        metrics=Metrics(METRICS, "/metrics"),
        secret=Secret("slipway-torchserve", "inference", "/run/key", "--key_file=/run/key/inference"),
        ready=ready,
        token=token,
    )
