"""The requests of a row's load tests."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.measure import rows
from pipelines.measure.rows import bodies_of
from serving.clients import Target, client

PROTOCOL = "open-inference-rest"
TARGET = Target("http://127.0.0.1:1", "tiny", {"y": "float32"})
INPUTS = [{"x": np.full((1, 100), number, np.float32)} for number in range(5)]


@pytest.mark.parametrize(("bodies", "kept"), [(0.5, 1), (1.5, 1), (3.5, 3), (9.0, 5)])
def test_requests_are_kept_to_a_size(monkeypatch: pytest.MonkeyPatch, bodies: float, kept: int) -> None:
    each = [client(PROTOCOL).encode(TARGET, inputs) for inputs in INPUTS]
    assert len(set(each)) == len(each)
    monkeypatch.setattr(rows, "MOST_BODIES_BYTES", int(bodies * len(each[0])))
    assert bodies_of(PROTOCOL, TARGET, iter(INPUTS)) == each[:kept]
