"""Every case of the API's reference that one running server can show, over real sockets.

The cases that need a server of their own are in the other files here; the test's id is the case's number.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from serving.conformance.case import Rest, case
from serving.conformance.catalogue import CASES, ELSEWHERE, IDS
from serving.conformance.run import Endpoint, connect, run_case, same
from serving.launch import LOOPBACK


@pytest.fixture(scope="module")
def target(server):
    with connect(server.url, f"{LOOPBACK}:{server.grpc_port}") as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(target, case):
    assert run_case(case, target) == ""


def test_every_case_is_there_once():
    assert len(IDS) == 115
    assert sorted([*(case.id for case in CASES), *ELSEWHERE]) == sorted(IDS)


def test_every_case_that_needs_a_server_of_its_own_has_one_test():
    found = Counter(number for file in Path(__file__).parent.rglob("test_*.py") for number in numbers_in(file))
    assert {number: count for number, count in found.items() if count != 1} == {}
    assert set(found) == set(ELSEWHERE)


def numbers_in(file: Path) -> list[str]:
    """The case numbers of ``parametrize("case", ["H1", ...])`` in a test file."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", "") == "parametrize"
            and isinstance(node.args[0], ast.Constant)
            and node.args[0].value == "case"
            and isinstance(node.args[1], ast.List)
        ):
            found += [item.value for item in node.args[1].elts if isinstance(item, ast.Constant)]
    return found


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (Rest("/v1/models/half_plus_two", status=404), "expected status 404. Received: 200"),
        (Rest("/v1/models/half_plus_two", answer={}), "expected {}. Received: "),
        (Rest("/v1/models/foo", status=404, error="nonsense"), "expected an error with: nonsense. Received: "),
        (Rest("/v1/models/half_plus_two", content_type="text/plain"), "expected Content-Type text/plain"),
        (Rest("/v1/models/half_plus_two", parts=("nonsense",)), "expected nonsense in the body"),
        (Rest("/v1/models/half_plus_two", longest=5), "expected at most 5 bytes"),
        (Rest("/v1/models/half_plus_two", answer_headers={"X": "y"}), "expected the header X: y"),
    ],
)
def test_a_wrong_answer_is_told(target, step, problem):
    assert problem in run_case(case("X1", step), target)


def test_same():
    assert same([1, 1.0, float("nan"), {"a": None}], [1, 1.0, float("nan"), {"a": None}])
    assert same(1435774340.0, 1435774336.0)  # one float32, written in nine digits or in full
    assert not any((same(1, 1.0), same(1, True), same([1], [1, 1]), same({"a": 1}, {"b": 1}), same(1.0, 1.1)))
    assert not same(1e300, 1e301)


def test_nothing_answers(tmp_path):
    with pytest.raises(OSError, match="refused"):
        run_case(CASES[0], Endpoint(f"http://{LOOPBACK}:9", None))
