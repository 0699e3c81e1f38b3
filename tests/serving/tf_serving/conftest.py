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
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from serving.launch import LOOPBACK, Recipe, Server, free_port, serve

WARMUP = Path("assets.extra/tf_serving_warmup_requests")


@dataclass(frozen=True)
class Running:
    """A server under test: its ports, and where its models are."""

    rest: int
    grpc_port: int
    models: Path
    process: Server

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


def _signatures():
    import tensorflow as tf

    def spec(dtype, name, shape=None):
        return tf.TensorSpec(shape, dtype, name=name)

    def function(*specs):
        return tf.function(input_signature=list(specs))

    class HalfPlusTwo(tf.Module):
        @function(spec(tf.float32, "x", [None, 1]))
        def predict(self, x):
            return {"y": 0.5 * x + 2.0}

        @function(spec(tf.string, "inputs", [None]))
        def regress(self, inputs):
            x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
            return {"outputs": 0.5 * x + 2.0}

    class Zoo(tf.Module):
        def __init__(self):
            self.total = tf.Variable(0.0)
            self.kernel = tf.Variable(tf.ones([3, 2]))

        @function()
        def get_counter(self):
            return {"output": self.total.read_value()}

        @function(spec(tf.float32, "delta", []))
        def incr_counter_by(self, delta):
            return {"output": self.total.assign_add(delta)}

        @function(spec(tf.int32, "n"), spec(tf.string, "s"), spec(tf.float32, "f"), spec(tf.float64, "d"))
        def named(self, n, s, f, d):
            return {"n": n, "s": s, "f": f, "d": d}

        @function(spec(tf.string, "text"))
        def texts(self, text):
            return {"text": text, "text_bytes": text}

        @function(spec(tf.float32, "x"))
        def shapes(self, x):
            return {"sum": tf.reduce_sum(x), "x": x}

        @function(spec(tf.float32, "x"))
        def uneven(self, x):
            return {"a": x, "b": x[:1]}

        @function(spec(tf.float32, "x", [None]))
        def none_left(self, x):
            return {"y": tf.boolean_mask(x, x > 1e30)}

        @function(spec(tf.float32, "x", [None, 3]))
        def dense(self, x):
            return {"y": x @ self.kernel}

        @function(spec(tf.float16, "x"))
        def half(self, x):
            return {"y": tf.cast(x, tf.float32)}

        @function(spec(tf.float32, "x"))
        def to_complex(self, x):
            return {"y": tf.complex(x, x)}

        @function(spec(tf.bool, "b"), spec(tf.int64, "i"), spec(tf.uint8, "u"))
        def others(self, b, i, u):
            return {"b": b, "i": i, "u": u}

        @function(spec(tf.float32, "x", [None]))
        def slow(self, x):
            """About two seconds of computing."""
            start = tf.timestamp()
            (y,) = tf.while_loop(lambda _: tf.timestamp() - start < 2.0, lambda y: (tf.sin(y),), [x])
            return {"y": y}

    return HalfPlusTwo, Zoo


@pytest.fixture(scope="session")
def half_plus_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's folder of half_plus_two."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("half_plus_two") / "version"
    model = _signatures()[0]()
    signatures = {"serving_default": model.predict, "regress_x_to_y": model.regress}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="session")
def zoo(half_plus_two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version's folder of a model with many signatures."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("zoo") / "version"
    model = _signatures()[1]()
    functions = [name for name in vars(type(model)) if hasattr(getattr(model, name), "get_concrete_function")]
    tf.saved_model.save(model, str(folder), signatures={name: getattr(model, name) for name in functions})
    return folder


@pytest.fixture(scope="session")
def half_plus_two_v1(half_plus_two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same computation as TensorFlow 1 saved it: a graph without objects."""
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = tmp_path_factory.mktemp("half_plus_two_v1") / "version"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 1], "x")
        half = v1.get_variable("half", initializer=0.5)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": half * x + 2.0})
    return folder


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


CONFIG = """
model_config_list {{
  config {{ name: "m" base_path: "{root}/m" model_platform: "tensorflow" version_labels {{ key: "stable" value: 123 }}
            version_labels {{ key: "gone" value: 5 }} }}
  config {{ name: "zoo" base_path: "{root}/zoo" model_platform: "tensorflow" }}
  config {{ name: "v1" base_path: "{root}/v1" model_platform: "tensorflow" }}
  config {{ name: "two" base_path: "{root}/two" model_platform: "tensorflow" model_version_policy {{ all {{}} }} }}
  config {{ name: "switch" base_path: "{root}/switch" model_platform: "tensorflow" }}
  config {{ name: "broken" base_path: "{root}/broken" model_platform: "tensorflow" }}
  config {{ name: "absent" base_path: "{root}/absent" model_platform: "tensorflow" }}
  config {{ name: "warm" base_path: "{root}/warm" model_platform: "tensorflow" }}
  config {{ name: "warm_empty" base_path: "{root}/warm_empty" model_platform: "tensorflow" }}
  config {{ name: "warm_failing" base_path: "{root}/warm_failing" model_platform: "tensorflow" }}
  config {{ name: "warm_text" base_path: "{root}/warm_text" model_platform: "tensorflow" }}
  config {{ name: "warm_other" base_path: "{root}/warm_other" model_platform: "tensorflow" }}
  config {{ name: "warm_many" base_path: "{root}/warm_many" model_platform: "tensorflow" }}
  config {{ name: "odd!#$%&'()*+,/:;=?@[]" base_path: "{root}/m" model_platform: "tensorflow"
            version_labels {{ key: "odd!#$%&'()*+,/:;=?@[]" value: 123 }} }}
}}
"""


@pytest.fixture(scope="session")
def models(half_plus_two: Path, zoo: Path, half_plus_two_v1: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of every model that the server of these tests serves, and its configuration."""
    root = tmp_path_factory.mktemp("models")
    folders = {"m/00000123": half_plus_two, "zoo/1": zoo, "v1/1": half_plus_two_v1, "switch/1": half_plus_two}
    folders |= {f"two/{version}": half_plus_two for version in (3, 4)}
    folders |= {f"{name}/1": half_plus_two for name in ("warm", "warm_empty", "warm_failing", "warm_text")}
    folders |= {f"{name}/1": half_plus_two for name in ("warm_other", "warm_many", "broken")}
    for path, source in folders.items():
        shutil.copytree(source, root / path)
    (root / "m/not_a_version").mkdir()
    (root / "m/999").write_text("a file, not a folder")
    graph = root / "broken/1/saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:100])
    write_warmup(root / "warm/1", [warmup_record("x", [1.0, 2.0])] * 3)
    write_warmup(root / "warm_empty/1", [])
    write_warmup(root / "warm_failing/1", [warmup_record("wrong_name", [1.0])])
    write_warmup(root / "warm_other/1", [b"\xff\xff not a PredictionLog"])
    write_warmup(root / "warm_many/1", [warmup_record("x", [1.0])] * 1001)
    (root / "warm_text/1" / WARMUP).parent.mkdir(parents=True)
    (root / "warm_text/1" / WARMUP).write_text("this is no TFRecord file, though long enough to have a header")
    (root / "config.txt").write_text(CONFIG.format(root=root))
    return root


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The server under test, once every model has been tried."""
    rest, grpc_port = free_port(), free_port()
    workdir = tmp_path_factory.mktemp("server")
    flags = [f"--port={grpc_port}", "--rest_api_port", str(rest), f"--model_config_file={models}/config.txt"]

    def ready() -> bool:
        url = f"http://{LOOPBACK}:{rest}/v1/models/warm_many"  # loaded late, and bound to fail
        with urllib.request.urlopen(url, timeout=5) as response:
            return b'"END"' in response.read() and b"AVAILABLE" in probe(
                rest, "odd%21%23%24%25%26%27()*+,%2F%3A%3B=%3F%40%5B%5D"
            )

    recipe = Recipe("TF Serving API server", (sys.executable, "-m", "serving.tf_serving", *flags), {}, ready)
    with serve(recipe, workdir, timeout_s=90) as process:
        yield Running(rest, grpc_port, models, process)


def probe(rest: int, name: str) -> bytes:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{rest}/v1/models/{name}", timeout=5) as response:
        return response.read()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """Polls a condition, which may raise OSError while it does not hold, until it holds."""

    def wait(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
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
    """Starts the command with flags; ends what a test leaves running."""
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
