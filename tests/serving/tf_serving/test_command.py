"""The command: its flags, its exit codes, and its end."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from serving.launch import LOOPBACK, free_port, free_ports
from serving.limits import Held
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.grpc_api.server import GrpcServer
from serving.tf_serving.settings.flags import WITHOUT_EFFECT, FlagError, Flags, parse, usage
from serving.tf_serving.settings.models import model_configs
from serving.tf_serving.settings.monitoring import metrics_path


def test_both_forms_of_a_flag():
    flags = parse(["--port=1", "--rest_api_port", "2", "--model_base_path=/a=b", "--enable_model_warmup=false"])
    assert flags == Flags(port=1, rest_api_port=2, model_base_path="/a=b", enable_model_warmup=False)
    on = parse(["--enable_serialization_as_tensor_content", "--model_config_file", "/c"])
    assert (on.enable_serialization_as_tensor_content, on.model_config_file) == (True, "/c")
    assert (on.bind_address, on.tensorflow_intra_op_parallelism, on.tensorflow_inter_op_parallelism) == (
        LOOPBACK,
        1,
        -1,
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--nonsense=1"], "unknown flag. Received: --nonsense=1. See --help."),
        (["--model_bas_path=/m"], "Did you mean --model_base_path?"),
        (["positional"], "unknown flag. Received: positional"),
        (["-port=1"], "unknown flag. Received: -port=1"),
        (["--port=x"], "flag --port takes a whole number from 0 to 65535. Received: 'x'"),
        (["--port=70000"], "Received: '70000'"),
        (["--port=-1"], "Received: '-1'"),
        (["--grpc_max_threads=0"], "from 1 to"),
        (["--model_base_path"], "flag --model_base_path needs a value"),
        (["--enable_model_warmup=maybe"], "takes true or false. Received: 'maybe'"),
        (["--load_retry_interval_micros=x"], "takes a whole number from -9223372036854775808 to"),
        (["--saved_model_tags=serve,gpu"], "takes serve only. Received: 'serve,gpu'"),
        ([], "no model to serve"),
        (["--model_base_path=/m", "--port=0"], "nothing to listen on"),
    ],
)
def test_bad_flags(argv, message):
    with pytest.raises(FlagError) as caught:
        parse(argv)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_names_every_flag():
    text = usage()
    assert all(f"--{name}=" in text for name in Flags.__dataclass_fields__)
    assert all(f"--{name}\n" in text for name in WITHOUT_EFFECT)


def test_flags_without_effect():
    argv = ["--num_load_threads=4", "--use_tfrt", "--num_unload_threads", "2", "--model_base_path=/m"]
    assert parse(argv) == Flags(model_base_path="/m")


def test_version(command):
    code, out, _ = ended(command("--version"))
    assert (code, out.splitlines()[0][:24]) == (0, "TensorFlow ModelServer: ")


def ended(process, limit_s: float = 60.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=limit_s)
    return process.returncode, out, err


def test_help_and_bad_flags_as_a_process(command):
    assert ended(command("--help"))[0] == 0
    code, out, err = ended(command("--nonsense"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "unknown flag. Received: --nonsense" in err


@pytest.mark.parametrize("flag", ["--port", "--rest_api_port"])
def test_a_port_in_use(command, flag):
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        taken = other.getsockname()[1]
        flags = dict(zip(("--port", "--rest_api_port"), free_ports(2), strict=True)) | {flag: taken}
        code, out, err = ended(command("--model_base_path=/m", *(f"{name}={port}" for name, port in flags.items())))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"cannot listen on {LOOPBACK}:{taken}" in err


@pytest.mark.parametrize("case", ["H2"])
def test_a_bad_configuration(command, tmp_path, case):
    file = tmp_path / "config.txt"
    file.write_text("model_config_list { config { nam")
    code, _, err = ended(command(f"--port={free_port()}", f"--model_config_file={file}"))
    assert code == 2
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in err
    assert f"Invalid protobuf file: '{file}'" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("flag", "text", "message"),
    [
        ("model_config_file", None, "cannot read --model_config_file: No such file or directory. Received: "),
        ("ssl_config_file", None, "cannot read --ssl_config_file"),
        ("ssl_config_file", "server_key: 1", "Error parsing text-format tensorflow.serving.SSLConfig"),
        ("ssl_config_file", "client_verify: true", "an SSLConfig needs server_key and server_cert"),
        ("monitoring_config_file", "prometheus", "Error parsing text-format tensorflow.serving.MonitoringConfig"),
        ("grpc_channel_arguments", "a", "--grpc_channel_arguments takes NAME=VALUE,NAME=VALUE. Received: "),
        ("ssl_config_file", "server_key: 'a' server_cert: 'b'", "a certificate or key cannot be used"),
    ],
)
def test_other_bad_files(tmp_path, flag, text, message):
    file = tmp_path / "config.txt"
    if text is not None:
        file.write_text(text)
    flags = Flags(model_base_path="/m", **{flag: str(file)})

    def start():
        model_configs(flags)
        metrics_path(flags.monitoring_config_file)
        GrpcServer({}, flags, Held(2**30))

    with pytest.raises(ServingError) as caught:
        start()
    assert message in caught.value.message


@pytest.mark.parametrize("case", ["H10"])
def test_batching_parameters_without_batching(command, tmp_path, case):
    (tmp_path / "batching").write_text("max_batch_size { value: 8 }")
    flags = (f"--port={free_port()}", "--model_base_path=/m", f"--batching_parameters_file={tmp_path}/batching")
    code, _, err = ended(command(*flags))
    assert code == 2
    assert "Failed to start server. Error: INVALID_ARGUMENT: " in err


def test_a_relative_base_path(command):
    code, _, err = ended(command(f"--port={free_port()}", "--model_base_path=some/where", "--model_name=m"))
    assert code == 2
    assert "Expected model m to have an absolute path or URI" in err


def test_sigterm_finishes_what_runs_and_takes_nothing_new(command, slow: Path, until):
    """Two slow requests run, one over each API, when the signal comes: both are answered, and the exit code is 0."""
    import grpc
    import numpy as np

    from serving.clients import Target, tf_serving_grpc, tf_serving_rest
    from serving.clients.proto.tf_serving_pb2 import PredictRequest
    from serving.clients.transport import Unreachable, send

    rest, port = free_ports(2)
    process = command(
        f"--port={port}", f"--rest_api_port={rest}", "--model_name=slow", f"--model_base_path={slow.parent}"
    )
    until(lambda: reads(rest, "/v1/models/slow", "AVAILABLE"))
    answers: dict[str, object] = {}

    def ask_rest():
        call = tf_serving_rest.call(Target(f"http://{LOOPBACK}:{rest}", "slow", {"y": "float32"}))
        answers["rest"] = send(call, b'{"inputs":[1.0]}')

    def ask_grpc():
        target = Target(f"grpc://{LOOPBACK}:{port}", "slow", {"y": "float32"})
        request = PredictRequest.FromString(tf_serving_grpc.encode(target, {"x": np.ones(1, np.float32)}))
        answers["grpc"] = send(tf_serving_grpc.call(target), request.SerializeToString())

    threads = [threading.Thread(target=ask) for ask in (ask_rest, ask_grpc)]
    busy = cpu_ticks(process.pid)
    for thread in threads:
        thread.start()
    until(lambda: cpu_ticks(process.pid) > busy + 0.5 * os.sysconf("SC_CLK_TCK"))  # they compute
    process.send_signal(signal.SIGTERM)
    until(lambda: refuses(rest) and not answers, 1.5)
    for thread in threads:
        thread.join(30)
    assert set(answers) == {"rest", "grpc"}
    assert ended(process)[0] == 0
    with pytest.raises(Unreachable):
        send(tf_serving_rest.call(Target(f"http://{LOOPBACK}:{rest}", "slow", {})), b"{}")
    with pytest.raises((Unreachable, grpc.RpcError)):
        send(tf_serving_grpc.call(Target(f"grpc://{LOOPBACK}:{port}", "slow", {})), b"", 5)


def test_sigterm_while_starting(command, tmp_path, until):
    process = command(f"--port={free_port()}", "--model_base_path=/m")
    until(lambda: "serving.tf_serving" in Path(f"/proc/{process.pid}/cmdline").read_text())
    until(lambda: cpu_ticks(process.pid) > 0.3 * os.sysconf("SC_CLK_TCK"))
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0


@pytest.mark.parametrize("case", ["H11"])
def test_the_same_port_twice_leaves_grpc(command, until, case):
    port = free_port()
    process = command(f"--port={port}", f"--rest_api_port={port}", "--model_base_path=/nowhere/at/all")
    until(lambda: not refuses(port))
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code == 0
    assert "--rest_api_port cannot be same as --port" in err


def reads(port: int, path: str, text: str) -> bool:
    import urllib.request

    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=5) as response:
        return text in response.read().decode()


def refuses(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5):
            return False
    except ConnectionRefusedError:
        return True


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
