"""Generated messages: they match the .proto files and the official bytes, and clash with no other package."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpc_tools import protoc

from serving.clients import open_inference_grpc, proto, tf_serving_grpc, torchserve_grpc
from serving.clients.proto import open_inference_pb2, tf_serving_pb2, torchserve_pb2

HERE = Path(proto.__file__).parent


def test_the_modules_are_what_the_command_makes_now(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "serving.clients.proto", tmp_path], timeout=60, check=True)
    made = {file.name: file.read_text() for file in (tmp_path / "serving" / "clients" / "proto").iterdir()}
    assert made == {file.name: file.read_text() for file in HERE.glob("*_pb2.py*")}
    assert len(made) == 2 * len(list(HERE.glob("*.proto"))) == 6


@pytest.fixture(scope="module")
def torchserve_protos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate modules from the .proto files of the installed TorchServe, and return their folder."""
    folder = tmp_path_factory.mktemp("torchserve")
    spec = importlib.util.find_spec("ts")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    names = ("inference.proto", "google/rpc/status.proto")
    with zipfile.ZipFile(Path(spec.submodule_search_locations[0]) / "frontend" / "model-server.jar") as jar:
        for name in names:
            jar.extract(name, folder)
    included = Path(protoc.__file__).parent / "_proto"
    outputs = [f"--python_out={folder}", f"--descriptor_set_out={folder}/all.bin", "--include_imports"]
    assert protoc.main(["protoc", f"-I{folder}", f"-I{included}", *outputs, *names]) == 0
    return folder


def assert_fields_are(ours: Descriptor, official: Descriptor) -> None:
    """Each field of ours has the number and the type of the official field of its name, through nested messages."""
    assert ours.fields
    for field in ours.fields:
        declared = official.fields_by_name[field.name]
        kind = FieldDescriptor.TYPE_INT32 if declared.type == FieldDescriptor.TYPE_ENUM else declared.type
        assert (field.number, field.type) == (declared.number, kind), field.full_name
        assert (field.is_repeated, field.is_packed) == (declared.is_repeated, declared.is_packed), field.full_name
        if field.message_type is not None:
            assert_fields_are(field.message_type, declared.message_type)


def test_the_messages_are_those_of_the_installed_kserve() -> None:
    from kserve.protocol.grpc import grpc_predict_v2_pb2

    method = grpc_predict_v2_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name["ModelInfer"]
    assert f"/{method.containing_service.full_name}/{method.name}" == open_inference_grpc.METHOD
    assert_fields_are(open_inference_pb2.ModelInferRequest.DESCRIPTOR, method.input_type)
    assert_fields_are(open_inference_pb2.ModelInferResponse.DESCRIPTOR, method.output_type)


def test_the_messages_are_those_of_the_installed_tf_serving() -> None:
    from tensorflow_serving.apis import prediction_service_pb2

    method = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"].methods_by_name["Predict"]
    assert f"/{method.containing_service.full_name}/{method.name}" == tf_serving_grpc.METHOD
    assert_fields_are(tf_serving_pb2.PredictRequest.DESCRIPTOR, method.input_type)
    assert_fields_are(tf_serving_pb2.PredictResponse.DESCRIPTOR, method.output_type)


def test_the_messages_are_those_of_the_installed_torchserve(torchserve_protos: Path) -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString((torchserve_protos / "all.bin").read_bytes()).file:
        pool.Add(file)
    service = pool.FindServiceByName("org.pytorch.serve.grpc.inference.InferenceAPIsService")
    method = service.methods_by_name["Predictions"]
    assert f"/{service.full_name}/{method.name}" == torchserve_grpc.METHOD
    assert_fields_are(torchserve_pb2.PredictionsRequest.DESCRIPTOR, method.input_type)
    assert_fields_are(torchserve_pb2.PredictionResponse.DESCRIPTOR, method.output_type)


def test_the_same_bytes_as_the_official_stubs():
    from tensorflow_serving.apis import predict_pb2

    def fill(request):
        request.model_spec.name = "m"
        request.model_spec.version.value = 123
        request.model_spec.signature_name = "serving_default"
        tensor = request.inputs["x"]
        tensor.dtype = 1
        for size in (2, -1, 0):
            tensor.tensor_shape.dim.add(size=size, name="d")
        tensor.tensor_content = b"\0\1\2"
        tensor.float_val.extend([1.5, -2.0])
        tensor.double_val.extend([1.5])
        tensor.int_val.extend([-1, 2**31 - 1])
        tensor.string_val.extend([b"\xff", b""])
        tensor.int64_val.extend([-(2**63)])
        tensor.bool_val.extend([True, False])
        tensor.half_val.extend([1])
        tensor.uint32_val.extend([2**32 - 1])
        tensor.uint64_val.extend([2**64 - 1])
        tensor.scomplex_val.extend([1, 2])
        tensor.dcomplex_val.extend([1, 2])
        request.output_filter.extend(["y", "z"])
        return request.SerializeToString(deterministic=True)

    ours = fill(tf_serving_pb2.PredictRequest())
    assert ours == fill(predict_pb2.PredictRequest())
    assert tf_serving_pb2.PredictRequest.FromString(ours).SerializeToString(deterministic=True) == ours
    label = tf_serving_pb2.ModelSpec(version_label="stable")
    label.version.value = 1  # the other branch of the oneof
    assert label.WhichOneof("version_choice") == "version"
    response = predict_pb2.PredictResponse()
    response.outputs["y"].float_val.append(3.0)
    read = tf_serving_pb2.PredictResponse.FromString(response.SerializeToString())
    assert list(read.outputs["y"].float_val) == [3.0]


OURS = """
from serving.clients.proto import open_inference_pb2, tf_serving_pb2, torchserve_pb2
"""
OFFICIAL = """
import inference_pb2
from kserve.protocol.grpc import grpc_predict_v2_pb2, grpc_predict_v2_pb2_grpc
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
"""
EACH_READS_THE_OTHER = """
for ours, official, name, fields in (
    (open_inference_pb2, grpc_predict_v2_pb2, "ModelInferRequest", {"model_name": "m", "raw_input_contents": [b"x"]}),
    (tf_serving_pb2, predict_pb2, "PredictRequest", {"model_spec": {"name": "m"}, "output_filter": ["y"]}),
    (torchserve_pb2, inference_pb2, "PredictionsRequest", {"model_name": "m", "input": {"data": b"x"}}),
):
    ours, official = getattr(ours, name), getattr(official, name)
    assert ours is not official
    assert official.FromString(ours(**fields).SerializeToString()) == official(**fields), name
    assert ours.FromString(official(**fields).SerializeToString()) == ours(**fields), name
print("read")
"""


@pytest.mark.parametrize("imports", [OURS + OFFICIAL, OFFICIAL + OURS], ids=["ours first", "official first"])
def test_the_official_messages_may_be_loaded_in_the_same_process(torchserve_protos: Path, imports: str) -> None:
    program = f"import sys; sys.path.append({str(torchserve_protos)!r})" + imports + EACH_READS_THE_OTHER
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("read\n", 0), done.stderr


def test_a_client_imports_no_framework():
    program = (
        "import sys, serving.clients.tf_serving_grpc, serving.clients.tf_serving_rest, serving.tf_serving.recipe;"
        "import serving.clients.open_inference_grpc, serving.clients.torchserve_grpc;"
        "print(*{'tensorflow', 'tensorflow_serving', 'grpc', 'grpc_tools', 'aiohttp', 'kserve', 'torch'}"
        " & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""
