"""How TensorFlow Serving is started in a container: Google's image, or the stand-in of this folder's Dockerfile."""

from __future__ import annotations

from serving.container.probe import speaks_http2
from serving.container.recipe import MODELS, ContainerRecipe, Port, image_of
from serving.launch import LaunchRequest
from serving.tf_serving.recipe import NATIVE, flags, is_available

VARIABLE = "TF_SERVING_IMAGE"
GOOGLES = "tensorflow/serving:2.20.0"
STAND_IN = "slipway/tf-serving"
GRPC, REST = 8500, 8501


def container(request: LaunchRequest) -> ContainerRecipe:
    """The image that TF_SERVING_IMAGE names, with the flags that it would get as a process."""
    place = f"{MODELS}/{request.model}"
    chosen = flags(request.model, place, REST, GRPC, request.threads)
    return ContainerRecipe(
        server="TF Serving",
        image=image_of(VARIABLE, GOOGLES, STAND_IN, "serving/tf_serving/Dockerfile"),
        # The program itself, not the image's script: with a script in between no signal reaches it.
        entrypoint=(NATIVE,),
        command=chosen,
        host=request.host,
        ports={
            "tf-serving-rest": Port("http", REST, request.rest_port),
            "tf-serving-grpc": Port("grpc", GRPC, request.grpc_port),
        },
        payload=request.payload,
        mounted_at=place,
        tmpfs={"/tmp": "size=64m,mode=1777"},  # noqa: S108 - in the container
        ready=lambda inside: is_available(request) and speaks_http2(request.host, request.grpc_port),  # noqa: ARG005
    )
