"""The handler without a server: what it reads, what it writes, and what it refuses."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from PIL import Image

from serving.torchserve import handler


@pytest.fixture(autouse=True)
def limit_of_a_worker() -> Iterator[None]:
    """Python's own limit of recursion, which a worker has; some frameworks that other tests import raise it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


SETTINGS = handler.Settings.of(
    {
        "format": "torchscript",
        "program": "model.pt",
        "inputs": [{"name": "image", "dtype": "float32", "shape": [None, 4, 4]}],
        "outputs": [{"name": "logits", "dtype": "float32", "shape": [None, 16]}],
        "labels": [f"label{index}" for index in range(16)],
        "preprocessing": {
            "height": 4,
            "width": 4,
            "channels": 1,
            "offset": 10.0,
            "scale": 2.0,
            "ground": 70,
            "crop": None,
        },
    }
)
ROWS = np.arange(48, dtype="float32").reshape(3, 4, 4)
NESTED: list[object] = [0.0]
for _ in range(100):
    NESTED = [NESTED]
calls: list[tuple[int, ...]] = []


def flatten(image: torch.Tensor) -> torch.Tensor:
    calls.append(tuple(image.shape))
    return image.flatten(1)


def ask(*requests: tuple[str, Any], key: str = "body") -> list[tuple[int, Any]]:
    """Status and body of each (content type, body) of one batch."""
    answers = handler.answer([({key: body}, {key: kind}) for kind, body in requests], flatten, SETTINGS)
    return [(status, body) for status, _, body in answers]


def tensors(array: np.ndarray, name: str = "image") -> tuple[str, bytes]:
    return "application/octet-stream", safetensors.numpy.save({name: array})


def document(value: Any) -> tuple[str, bytes]:
    return "application/json", json.dumps(value).encode()


def picture(pixels: np.ndarray, format_: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_)
    return buffer.getvalue()


def test_json_and_tensors_give_the_same_rows() -> None:
    ((json_status, json_body), (status, body)) = ask(document({"inputs": {"image": ROWS.tolist()}}), tensors(ROWS))
    assert (json_status, status) == (200, 200)
    assert np.array_equal(json.loads(json_body)["outputs"]["logits"], ROWS.reshape(3, 16))
    assert np.array_equal(safetensors.numpy.load(body)["logits"], ROWS.reshape(3, 16))


def test_json_that_the_worker_has_decoded_already() -> None:
    ((status, body),) = ask(("application/json; charset=utf-8", {"inputs": {"image": ROWS.tolist()}}))
    assert status == 200
    assert np.array_equal(json.loads(body)["outputs"]["logits"], ROWS.reshape(3, 16))


def test_a_batch_is_one_call_and_a_bad_request_spares_its_neighbours() -> None:
    calls.clear()
    answers = ask(tensors(ROWS[:1]), tensors(ROWS[:, :2]), document({"inputs": {"image": ROWS[1:].tolist()}}))
    assert calls == [(3, 4, 4)]
    assert [status for status, _ in answers] == [200, 400, 200]
    assert np.array_equal(safetensors.numpy.load(answers[0][1])["logits"], ROWS[:1].reshape(1, 16))
    assert np.array_equal(json.loads(answers[2][1])["outputs"]["logits"], ROWS[1:].reshape(2, 16))


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_a_picture_is_scaled_preprocessed_and_labelled(format_: str) -> None:
    pixels = np.full((32, 48), 20, "uint8")  # 3:2, so that the sides are cropped
    pixels[:, 8:16] = 200
    ((status, body),) = ask((f"image/{format_.lower()}", picture(pixels, format_)))
    assert status == 200
    probabilities = json.loads(body)
    assert len(probabilities) == 5
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
    # The bright stripe is the first of the four columns that are left.
    assert {int(label.removeprefix("label")) % 4 for label in list(probabilities)[:4]} == {0}
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-6)


def test_pixels_are_offset_then_scaled() -> None:
    arrays = handler.read_picture(picture(np.full((4, 4), 30, "uint8")), SETTINGS)
    assert np.array_equal(arrays["image"], np.full((1, 4, 4), 10.0, "float32"))
    assert arrays["image"].dtype == np.float32


def test_the_ground_shows_through_a_transparent_picture() -> None:
    pixels = np.zeros((4, 4, 4), "uint8")
    pixels[0] = (30, 30, 30, 255)
    arrays = handler.read_picture(picture(pixels), SETTINGS)
    assert np.array_equal(arrays["image"][0, 0], np.full(4, 10.0))
    assert np.array_equal(arrays["image"][0, 1:], np.full((3, 4), 30.0))


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (tensors(ROWS.astype("float64")), 400, "Received: float64 of shape (3, 4, 4)"),
        (tensors(ROWS[0]), 400, "Received: float32 of shape (4, 4)"),
        (tensors(ROWS[:0]), 400, "with one row or more"),
        (tensors(ROWS, "picture"), 400, "the inputs must be image. Received: picture"),
        (("application/octet-stream", b"no tensors"), 400, "no safetensors file"),
        (("application/octet-stream", b""), 400, "no safetensors file"),
        (("application/json", b"{"), 400, "no JSON"),
        (("application/json", b"\xff"), 400, "no JSON"),
        (document([1, 2]), 400, "Received: [1, 2]"),
        (document({"inputs": {"image": [[1, 2], [3]]}}), 400, "no array of numbers"),
        (document({"inputs": {"image": "text"}}), 400, "must be float32 of shape (N, 4, 4)"),
        (document({"inputs": {"image": None}}), 400, "must be float32 of shape (N, 4, 4)"),
        (("image/png", b"no picture"), 400, "the body is no PNG or JPEG picture"),
        (("image/png", picture(np.zeros((4, 4), "uint8"))[:-30]), 400, "no PNG or JPEG picture"),
        (("image/png", picture(np.zeros((4, 4), "uint8"), "BMP")), 400, "no PNG or JPEG picture"),
        (("image/png", picture(np.zeros((5001, 5000), "uint8"))), 400, "25000000 pixels at most. Received: 5000x5001"),
        (("application/json", b'{"inputs": ' + b"[" * 1100 + b"]" * 1100 + b"}"), 400, "no JSON"),
        (("application/json", b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}"), 400, "Received: {'inputs': ["),
        (document({"inputs": {"image": NESTED}}), 400, "no array of numbers"),
        (("application/json", b"[" * 16_000_000), 400, "5000000 values"),
        (("application/json", b'{"inputs": {"image": [' + b"{}," * 5_000_000), 400, "5000000 values"),
        (("application/json", b'{"a":' * 3_200_000), 400, "5000000 values"),
        (("application/json", b'{"a":' * 100_000), 400, "no JSON"),
        (document({"inputs": {"image": [[[1e39] * 4] * 4]}}), 400, "'image' has a number that float32 cannot hold"),
        (("application/json", b'{"inputs": {"image": [1e400]}}'), 400, "larger than any float64"),
        (document({"inputs": {"image": [["x" * 100_000, *range(100_000)]]}}), 400, "no array of numbers"),
        (document({"inputs": {"image": [["1"]]}}), 400, "no array of numbers"),
        (document({"inputs": {"image": [[1], 1]}}), 400, "no array of numbers"),
        (("text/plain", b"1"), 415, "Received: text/plain"),
        (("", b"1"), 415, "Received: none"),
    ],
)
def test_what_is_refused(request_: tuple[str, Any], status: int, message: str) -> None:
    ((received, body),) = ask(request_)
    assert received == status
    refusal = json.loads(body)
    assert refusal["code"] == status
    assert message in refusal["message"]


@pytest.mark.parametrize(
    ("dtype", "numbers", "fits"),
    [
        ("uint8", [0, 255], True),
        ("uint8", [0, 256], False),
        ("uint8", [-1], False),
        ("int32", [3_000_000_000], False),
        ("int64", [2**63], False),
        ("int64", [2**63 - 1], True),
        ("float32", [3.4028235e38, 1e-300, 2**64], True),
        ("float32", [-1e39], False),
        ("float16", [70000.0], False),
    ],
)
def test_numbers_that_the_dtype_cannot_hold_are_refused(dtype: str, numbers: list[float], fits: bool) -> None:
    settings = dataclasses.replace(SETTINGS, inputs=(handler.Tensor("x", dtype, (None,)),))
    body = document({"inputs": {"x": numbers}})[1]
    if fits:
        assert handler.read_json(body, settings)["x"].tolist() == np.array(numbers, dtype).tolist()
    else:
        with pytest.raises(handler.RequestError, match=f"'x' has a number that {dtype} cannot hold"):
            handler.read_json(body, settings)


def test_without_a_content_type_a_picture_and_a_json_object_are_known() -> None:
    pixels = np.full((4, 4), 30, "uint8")
    for format_ in ("PNG", "JPEG"):
        named, guessed = ask((f"image/{format_.lower()}", picture(pixels, format_)), ("", picture(pixels, format_)))
        assert guessed == named
        assert guessed[0] == 200
    body = document({"inputs": {"image": ROWS.tolist()}})[1]
    named, guessed, indented = ask(("application/json", body), ("", body), ("", b"\r\n  " + body))
    assert guessed == indented == named
    assert guessed[0] == 200


def test_over_grpc_the_key_of_the_input_says_what_it_is() -> None:
    ((_, body),) = ask(("", tensors(ROWS)[1]), key="data")
    assert np.array_equal(safetensors.numpy.load(body)["logits"], ROWS.reshape(3, 16))
    ((status, body),) = ask(("", tensors(ROWS)[1]), key="other")
    assert (status, json.loads(body)["message"].endswith("Received: none")) == (415, True)


def test_the_bodies_of_a_batch_are_bounded_together() -> None:
    kind, body = tensors(ROWS[:1])
    settings = dataclasses.replace(SETTINGS, max_batch_bytes=2 * len(body))
    answers = handler.answer([({"body": body}, {"body": kind})] * 3, flatten, settings)
    assert [status for status, _, _ in answers] == [200, 200, 503]
    assert "may have" in json.loads(answers[2][2])["message"]


def test_one_body_a_request() -> None:
    ((status, _, body),) = handler.answer([({"body": b"", "more": b""}, {})], flatten, SETTINGS)
    assert (status, json.loads(body)["message"]) == (400, "a request has one body. Received: body, more")


def test_requests_of_unequal_free_dimensions_are_run_apart() -> None:
    free = handler.Settings.of(
        {
            "format": "torchscript",
            "program": "",
            "inputs": [{"name": "image", "dtype": "float32", "shape": [None, None]}],
            "outputs": [{"name": "logits", "dtype": "float32", "shape": [None, None]}],
            "labels": [],
            "preprocessing": {},
        }
    )
    calls.clear()
    bodies = [safetensors.numpy.save({"image": np.full((1, width), width, "float32")}) for width in (2, 3, 2)]
    kind = {"body": "application/octet-stream"}
    answers = handler.answer([({"body": body}, kind) for body in bodies], flatten, free)
    assert calls == [(2, 2), (1, 3)]
    assert [safetensors.numpy.load(body)["logits"].tolist() for _, _, body in answers] == [
        [[2, 2]],
        [[3, 3, 3]],
        [[2, 2]],
    ]
