"""One server for the whole folder, over tiny models that are built here with TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from serving.conformance.write import BAD, MONITORING_FILE, models_config, write_models
from serving.launch import LOOPBACK, Recipe, Server, free_ports, serve
from tests.patience import PATIENCE_S

WARMUP = Path("assets.extra/tf_serving_warmup_requests")


@dataclass(frozen=True)
class Running:
    """A server under test: its ports, and where its models are."""

    rest: int
    grpc_port: int
    models: Path
    process: Server

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.rest}"

    def ask(self, path: str, body: bytes | str | None = None, method: str | None = None) -> tuple[int, bytes, str]:
        """Status, body and content type of one HTTP request; POST if there is a body."""
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.rest}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read(), response.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers["Content-Type"]

    def json(self, path: str, body: bytes | str | None = None) -> tuple[int, dict]:
        """Status and parsed body; NaN and Infinity are read as floats."""
        status, answer, _ = self.ask(path, body)
        return status, json.loads(answer)

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"{LOOPBACK}:{self.grpc_port}")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the models that the cases of the API are about, as ``slipway conform`` writes them."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    folder = tmp_path_factory.mktemp("models")
    write_models(folder)
    return folder


@pytest.fixture(scope="session")
def half_plus_two(written: Path) -> Path:
    """A version's folder of half_plus_two."""
    return written / "half_plus_two/00000123"


@pytest.fixture(scope="session")
def half_plus_two_v1(written: Path) -> Path:
    """The same computation in TensorFlow 1's format: a graph without objects."""
    return written / "half_plus_two_tf1/00000123"


@pytest.fixture(scope="session")
def zoo(written: Path) -> Path:
    """A version's folder of a model with many signatures."""
    return written / "echo/1"


@pytest.fixture(scope="session")
def slow(written: Path) -> Path:
    """A version's folder of a model that computes for two seconds."""
    return written / "slow/1"


def write_warmup(folder: Path, records: list[bytes]) -> None:
    """Put a file of warm-up records into a version's folder."""
    import tensorflow as tf

    (folder / WARMUP).parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for record in records:
            writer.write(record)


def warmup_record(name: str, values: list[float]) -> bytes:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "any"
    log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(values, tf.float32, [len(values), 1]))
    return log.SerializeToString()


def every_kind_of_record() -> list[bytes]:
    """A warm-up record for each API, and one without a request."""
    from google.protobuf import text_format
    from tensorflow_serving.apis import prediction_log_pb2

    features = 'feature { key: "x" value { float_list { value: 2 } } }'
    given = f"input {{ example_list {{ examples {{ features {{ {features} }} }} }} }}"
    spec = 'model_spec { name: "any" signature_name: "%s" }'
    texts = (
        f"classify_log {{ request {{ {spec % 'classify_x_to_y'} {given} }} }}",
        f"regress_log {{ request {{ {spec % 'regress_x_to_y'} {given} }} }}",
        f"multi_inference_log {{ request {{ tasks {{ {spec % 'regress_x_to_y2'} "
        f'method_name: "tensorflow/serving/regress" }} {given} }} }}',
        "",
    )
    logs = [text_format.Parse(text, prediction_log_pb2.PredictionLog()) for text in texts]
    return [warmup_record("x", [1.0]), *(log.SerializeToString() for log in logs)]


EXTRA = ("switch", "spare", "broken", "absent", "warm", "warm_kinds", "warm_empty", "warm_failing", "warm_text")
EXTRA += ("warm_other", "warm_many", "linked")


@pytest.fixture(scope="session")
def models(written: Path, half_plus_two: Path, half_plus_two_v1: Path) -> Path:
    """The folder of every model that the server of these tests serves, and its configuration."""
    root = written
    for name in EXTRA:
        if name not in ("absent", "broken", "warm_kinds", "linked"):
            shutil.copytree(half_plus_two, root / name / "1")
    shutil.copytree(root / BAD / "00000123", root / "broken/1")
    shutil.copytree(half_plus_two_v1, root / "warm_kinds/1")
    (root / "linked").mkdir()
    (root / "linked/1").symlink_to(half_plus_two)
    (root / "half_plus_two/not_a_version").mkdir()
    (root / "half_plus_two/999").write_text("a file, not a folder")
    write_warmup(root / "warm/1", [warmup_record("x", [1.0, 2.0])] * 3)
    write_warmup(root / "warm_kinds/1", every_kind_of_record())
    write_warmup(root / "warm_empty/1", [])
    write_warmup(root / "warm_failing/1", [warmup_record("wrong_name", [1.0])])
    write_warmup(root / "warm_other/1", [b"\xff\xff not a PredictionLog"])
    write_warmup(root / "warm_many/1", [warmup_record("x", [1.0])] * 1001)
    (root / "warm_text/1" / WARMUP).parent.mkdir(parents=True)
    (root / "warm_text/1" / WARMUP).write_text("this is no TFRecord file, though long enough to have a header")
    more = "".join(f'  config {{ name: "{n}" base_path: "{root / n}" model_platform: "tensorflow" }}\n' for n in EXTRA)
    (root / "config.txt").write_text(models_config(root, more))
    return root


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server under test, after it tried to load every model."""
    flags = (
        f"--model_config_file={models}/config.txt",
        f"--monitoring_config_file={models}/{MONITORING_FILE}",
        "--allow_version_labels_for_unavailable_models",
        "--rest_api_enable_cors_support=true",
        "--max_num_load_retries=0",
    )
    with running(tmp_path_factory.mktemp("server"), models, "linked", *flags) as started:
        yield started


@pytest.fixture(scope="session")
def run_server() -> Callable[..., AbstractContextManager[Running]]:
    """:func:`running`, for the tests that need a server with flags of their own."""
    return running


@contextmanager
def running(workdir: Path, models: Path, last: str, *flags: str) -> Iterator[Running]:
    """Start a server with flags; it is ready when it has tried to load the model ``last``."""
    rest, grpc_port = free_ports(2)
    words = (sys.executable, "-m", "serving.tf_serving", f"--port={grpc_port}", "--rest_api_port", str(rest), *flags)

    def ready() -> bool:
        answer = probe(rest, last)
        return b'"END"' in answer or b"AVAILABLE" in answer

    with serve(Recipe("TF Serving API server", words, {}, ready), workdir, timeout_s=90) as process:
        yield Running(rest, grpc_port, models, process)


def probe(rest: int, name: str) -> bytes:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{rest}/v1/models/{name}", timeout=5) as response:
        return response.read()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Poll a condition until it is true; it may raise OSError until then."""

    def wait(condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except OSError:
                pass  # not yet
            time.sleep(0.05)
        pytest.fail(f"not within {limit_s} s")

    return wait


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start the command with flags, and end the processes that a test leaves running."""
    started: list[subprocess.Popen] = []

    def start(*flags: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.tf_serving", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
