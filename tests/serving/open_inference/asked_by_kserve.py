"""Asks a server of the echo model everything that KServe's own clients can ask it, over REST and gRPC.

python asked_by_kserve.py http://HOST:PORT grpc://HOST:PORT
"""

from __future__ import annotations

import asyncio
import sys

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse
from kserve.inference_client import RESTConfig

from serving.wire.datatypes import NUMPY


def values(datatype: str) -> np.ndarray:
    return np.array([[0, 1], [1, 0], [1, 1]], NUMPY[datatype])


def request(binary: bool, name: str = "echo", version: str | None = None) -> InferRequest:
    inputs = [InferInput(f"in_{datatype}", [3, 2], datatype) for datatype in NUMPY]
    for tensor, datatype in zip(inputs, NUMPY, strict=True):
        # FP16 has no form in JSON.
        tensor.set_data_from_numpy(values(datatype), binary_data=binary or datatype == "FP16")
    return InferRequest(name, inputs, parameters={"binary_data_output": True}, model_version=version)


def check(response: InferResponse) -> None:
    for datatype in NUMPY:
        array = response.get_output_by_name(f"out_{datatype}").as_numpy()
        assert array.dtype == NUMPY[datatype], datatype
        assert np.array_equal(array, values(datatype)), datatype


async def ask_rest(url: str) -> None:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(url)
    assert await client.is_server_ready(url)
    assert await client.is_model_ready(url, "echo")
    for binary in (True, False):
        check(await client.infer(url, request(binary), "echo"))
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await client.infer(url, request(True, "other"), "other")
    assert refused.value.response.status_code == 404
    assert refused.value.response.json() == {"error": "Model with name other does not exist."}
    await client.close()


async def ask_grpc(url: str) -> None:
    async with InferenceGRPCClient(url) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("echo")
        check(await client.infer(request(True)))
        with pytest.raises(grpc.RpcError) as refused:
            await client.infer(request(True, version="2"))
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def main(rest: str, grpc_url: str) -> None:
    await ask_rest(rest)
    await ask_grpc(grpc_url.removeprefix("grpc://"))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
