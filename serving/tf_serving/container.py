"""Start TensorFlow Serving in a container: Google's image, or the stand-in built by this folder's Dockerfile."""

from __future__ import annotations

from serving.container.probe import speaks_http2
from serving.container.recipe import MODEL, ContainerRecipe, ExecProbe, Metrics, Port, image_of
from serving.launch import LaunchRequest
from serving.tf_serving.recipe import NATIVE, flags, is_available

VARIABLE = "TF_SERVING_IMAGE"
GOOGLES = "tensorflow/serving:2.20.0"
STAND_IN = "slipway/tf-serving"
GRPC, REST = 8500, 8501

# A version is AVAILABLE once it is loaded and warmed up. Plain bash, because Google's image has no HTTP client.
_ASK = r"""exec 3<>/dev/tcp/127.0.0.1/{rest} || exit 1
printf 'GET /v1/models/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$0" >&3
IFS= read -r -d '' -t 5 answer <&3
[[ $answer =~ \"state\":\ *\"AVAILABLE\" ]]
"""
METRICS_PATH = "/monitoring/prometheus/metrics"
MONITORING = "/tmp/monitoring.config"  # noqa: S108 - in the container
# Metrics need a file with settings. With `exec`, signals reach the program, and not a script before it.
_START = f"""echo 'prometheus_config {{ enable: true path: "{METRICS_PATH}" }}' > {MONITORING}
exec "$0" "$@"
"""


def container(request: LaunchRequest) -> ContainerRecipe:
    """Describe a container of the image TF_SERVING_IMAGE, with the same flags as a process gets."""
    return ContainerRecipe(
        server="TF Serving",
        image=image_of(VARIABLE, GOOGLES, STAND_IN, "serving/tf_serving/Dockerfile"),
        # The image's own start script would not pass signals on.
        entrypoint=("bash", "-c", _START, NATIVE),
        command=(
            *flags(request, MODEL, REST, GRPC),
            f"--monitoring_config_file={MONITORING}",
        ),
        host=request.host,
        ports={
            "tf-serving-rest": Port("http", REST, request.rest_port),
            "tf-serving-grpc": Port("grpc", GRPC, request.grpc_port),
        },
        payload=request.payload,
        tmpfs={"/tmp": "size=64m,mode=1777"},  # noqa: S108 - in the container
        probe=ExecProbe(("bash", "-c", _ASK.replace("{rest}", str(REST)), request.model)),
        metrics=Metrics(REST, METRICS_PATH),
        ready=lambda inside: is_available(request) and speaks_http2(request.host, request.grpc_port),  # noqa: ARG005
    )
