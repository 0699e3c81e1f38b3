"""Invalid requests: a seeded part of ``benchmarks/tf_serving/fuzz.py``, and generated bodies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[3] / "benchmarks" / "tf_serving" / "fuzz.py"

_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["b64", "x", "y", "a"]), inner),
    max_leaves=12,
)
_requests = st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name", "examples"]), _json, min_size=1)


@settings(max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_requests, st.sampled_from(["half_plus_two", "echo"]), st.sampled_from(["predict", "classify", "regress"]))
def test_every_json_body_has_a_proper_answer(server, request_body, model, method):
    sent = json.dumps(request_body)
    status, answer, content_type = server.ask(f"/v1/models/{model}:{method}", sent)
    document = json.loads(answer.decode("utf-8", "surrogateescape"))
    assert status in (200, 400, 404, 501), (status, sent, answer)
    assert ("error" in document) == (status != 200)
    assert content_type == "application/json"


def test_a_share_of_the_long_fuzzing():
    """No crash, no hang, no improper answer, no stack in the log; only the long form checks memory."""
    command = [sys.executable, str(FUZZ), "--requests", "2500", "--seed", "11", "--most-growth", "0.25", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["requests"] >= 2500
    assert {"REST 200", "REST 400", "gRPC OK", "gRPC INVALID_ARGUMENT", "OpenAPI GET 200"} <= set(found["outcomes"])
