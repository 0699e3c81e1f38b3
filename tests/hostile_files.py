"""Makes model files that would do harm: each of those that run code would make the file CANARY if it ran."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import stat
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_files import Honest

Maker = Callable[[Path, Honest, Path], Path]
HOSTILE: dict[str, tuple[str, Maker]] = {}
"""Maps what a file is to a part of the line by which it is refused, and the function that makes it."""


def hostile(reason: str) -> Callable[[Maker], Maker]:
    def keep(make: Maker) -> Maker:
        HOSTILE[make.__name__] = (reason, make)
        return make

    return keep


def rezipped(
    source: Path,
    target: Path,
    change: Callable[[str, bytes], bytes] = lambda _, content: content,
    more: dict[str, bytes] | None = None,
    packing: int = zipfile.ZIP_STORED,
) -> Path:
    """Copy an archive, each member changed by ``change``, with more members."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", packing) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, content in (more or {}).items():
            new.writestr(name, content)
    return target


def changed_json(source: Path, target: Path, member: str, change: Callable[[Any], None]) -> Path:
    """Copy an archive with one of its JSON files changed in place."""

    def apply(name: str, content: bytes) -> bytes:
        if not name.endswith(member):
            return content
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return rezipped(source, target, apply)


class Touch:
    """An object whose pickle makes a file when it is opened."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def code(canary: Path) -> str:
    return f"__import__('os').system('touch {canary}')"


# -- .pt2: every way in which torch.export.load runs what is in the file --


@hostile("an expression over sizes is Python code")
def pt2_expression(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(program: Any) -> None:
        sizes = program["graph_module"]["graph"]["tensor_values"]["ids"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = f"Integer({code(canary)} or 2)"

    return changed_json(honest.pt2, folder / "expression.pt2", "models/model.json", change)


@hostile("a guard is Python code")
def pt2_guard(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(program: Any) -> None:
        program["guards_code"] = [f"{code(canary)} == 0"]

    return changed_json(honest.pt2, folder / "guard.pt2", "models/model.json", change)


@hostile("is a pickle that calls posix.system")
def pt2_sample_inputs(folder: Path, honest: Honest, canary: Path) -> Path:
    import torch

    inner = io.BytesIO()
    torch.save(((torch.zeros(2, 6), Touch(canary)), {}), inner)
    return rezipped(
        honest.pt2,
        folder / "samples.pt2",
        lambda name, content: inner.getvalue() if name.endswith("sample_inputs/model.pt") else content,
    )


@hostile("is kept as a pickle")
def pt2_pickled_weight(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith("model_weights_config.json"):
            config = json.loads(content)
            config["config"]["last.bias"]["use_pickle"] = True
            return json.dumps(config).encode()
        return content

    path = folder / "weight.pt2"
    rezipped(honest.pt2, path, change)
    with zipfile.ZipFile(path) as archive:
        config = next(name for name in archive.namelist() if name.endswith("model_weights_config.json"))
        member = json.loads(archive.read(config))["config"]["last.bias"]["path_name"]
    wanted = pickle.dumps(Touch(canary), 2)
    return rezipped(
        path, folder / "weight2.pt2", lambda name, content: wanted if name.endswith(f"/{member}") else content
    )


@hostile("which torch.export does not write")
def pt2_opaque_object(folder: Path, honest: Honest, canary: Path) -> Path:
    """A constant whose file's name says that it is an object: PyTorch unpickles it, whatever ``use_pickle`` says."""

    content = pickle.dumps(Touch(canary))

    def change(document: Any) -> None:
        kind = {"dtype": 1, "requires_grad": False, "device": {"type": "cpu", "index": None}, "layout": 7}
        sizes = {"sizes": [{"as_int": len(content)}], "strides": [{"as_int": 1}], "storage_offset": {"as_int": 0}}
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False, "tensor_meta": kind | sizes}
        document["config"]["made_up"] = entry

    changed = changed_json(honest.pt2, folder / "object0.pt2", "model_constants_config.json", change)
    more = {f"{honest.pt2.stem}/data/constants/opaque_obj_0": content}
    return rezipped(changed, folder / "object.pt2", more=more)


@hostile("it names a class to import")
def pt2_structure(folder: Path, honest: Honest, canary: Path) -> Path:
    """A structure of outputs whose class is imported: the module is one that this test puts beside it."""
    (folder / "imported_by_a_file.py").write_text(f"import os\nos.system('touch {canary}')\nmade = dict\n")

    def change(program: Any) -> None:
        called = program["graph_module"]["module_call_graph"][0]["signature"]
        context = {"default_factory_module": "imported_by_a_file", "default_factory_name": "made"}
        spec = json.loads(called["out_spec"])
        spec[1] |= {"type": "collections.defaultdict", "context": {**context, "dict_context": ["logits", "sum"]}}
        called["out_spec"] = json.dumps(spec)

    return changed_json(honest.pt2, folder / "structure.pt2", "models/model.json", change)


@hostile("which is no operator")
def pt2_target(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(program: Any) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"

    return changed_json(honest.pt2, folder / "target.pt2", "models/model.json", change)


@hostile("compiled code")
def pt2_compiled(folder: Path, honest: Honest, canary: Path) -> Path:
    library = {"two/data/aotinductor/model/wrapper.so": b"\x7fELF" + bytes(100)}
    return rezipped(honest.pt2, folder / "compiled.pt2", more=library)


@hostile("compressed")
def pt2_compressed(folder: Path, honest: Honest, canary: Path) -> Path:
    return rezipped(honest.pt2, folder / "compressed.pt2", packing=zipfile.ZIP_DEFLATED)


@hostile("fewer bytes")
def pt2_empty_weight(folder: Path, honest: Honest, canary: Path) -> Path:
    """A weight of no bytes and a huge shape: PyTorch makes it of zeros."""

    def change(name: str, content: bytes) -> bytes:
        if name.endswith("model_weights_config.json"):
            config = json.loads(content)
            config["config"]["last.bias"]["tensor_meta"]["sizes"] = [{"as_int": 10**11}]
            return json.dumps(config).encode()
        return content

    return rezipped(honest.pt2, folder / "huge.pt2", change)


# -- .keras --


def _with_layer(folder: Path, honest: Honest, name: str, change: Callable[[Any], None]) -> Path:
    """Change the last layer of the pictures' network."""
    return changed_json(
        honest.pictures, folder / name, "config.json", lambda config: change(config["config"]["layers"][-1])
    )


@hostile("runs Python code that lies in the file")
def keras_lambda(folder: Path, honest: Honest, canary: Path) -> Path:
    import keras

    path = folder / "lambda.keras"
    words = str(canary)
    make = keras.layers.Lambda(lambda x: (open(words, "w"), x)[1])  # noqa: PTH123, SIM115
    keras.Sequential([keras.Input((3,)), make]).save(path)
    canary.unlink(missing_ok=True)  # Keras calls it when the model is made
    return path


@hostile("which is not Keras's own")
def keras_class(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(layer: Any) -> None:
        layer.update(module="subprocess", class_name="Popen", config={"args": ["touch", str(canary)]})

    return _with_layer(folder, honest, "class.keras", change)


@hostile("which is not Keras's own")
def keras_registered(folder: Path, honest: Honest, canary: Path) -> Path:
    return _with_layer(folder, honest, "own.keras", lambda layer: layer.update(registered_name="mine>Dense"))


@hostile("which is not Keras's own")
def keras_function(folder: Path, honest: Honest, canary: Path) -> Path:
    """A function of Keras that fetches a file, as an activation."""
    function = {"module": "keras.utils", "class_name": "function", "config": "get_file", "registered_name": "get_file"}
    return _with_layer(folder, honest, "function.keras", lambda layer: layer["config"].update(activation=function))


@hostile("it calls the function os.system, which is not Keras's own")
def keras_loss_of_a_part(folder: Path, honest: Honest, canary: Path) -> Path:
    """Name a foreign loss for a part of the network: Keras sets it up, also when it leaves out the whole's training."""
    loss = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return _with_layer(folder, honest, "part.keras", lambda layer: layer.update(compile_config={"loss": loss}))


@hostile("unpickles a PyTorch module")
def keras_torch_module(folder: Path, honest: Honest, canary: Path) -> Path:
    return _with_layer(folder, honest, "torch.keras", lambda layer: layer.update(class_name="TorchModuleWrapper"))


@hostile("reads its vocabulary from")
def keras_vocabulary(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(layer: Any) -> None:
        layer.update(class_name="StringLookup", config={"name": "words", "vocabulary": "/etc/passwd"})

    return _with_layer(folder, honest, "vocabulary.keras", change)


@hostile("needs 2,000,000,000 numbers")
def keras_units(folder: Path, honest: Honest, canary: Path) -> Path:
    return _with_layer(folder, honest, "units.keras", lambda layer: layer["config"].update(units=2_000_000_000))


def _with_weights(folder: Path, honest: Honest, name: str, write: Callable[[Any], None]) -> Path:
    import h5py

    raw = io.BytesIO()
    with h5py.File(raw, "w") as file:
        write(file)
    return rezipped(
        honest.pictures,
        folder / name,
        lambda member, content: raw.getvalue() if member == "model.weights.h5" else content,
    )


@hostile("Keras refuses it too")
def keras_external_link(folder: Path, honest: Honest, canary: Path) -> Path:
    import h5py

    return _with_weights(
        folder, honest, "link.keras", lambda file: file.update({"layers": h5py.ExternalLink("/etc/passwd", "/x")})
    )


@hostile("takes an array out of another file")
def keras_external_array(folder: Path, honest: Honest, canary: Path) -> Path:
    def write(file: Any) -> None:
        file.create_dataset("layers/dense/vars/0", (4,), "float32", external=[("/etc/passwd", 0, 16)])

    return _with_weights(folder, honest, "array.keras", write)


@hostile("is no sound zip archive")
def keras_cut(folder: Path, honest: Honest, canary: Path) -> Path:
    path = folder / "cut.keras"
    path.write_bytes(honest.keras.read_bytes()[:-100])
    return path


@hostile("a decompression bomb")
def zip_bomb(folder: Path, honest: Honest, canary: Path) -> Path:
    return rezipped(honest.keras, folder / "bomb.keras", more={"a": bytes(64 * 2**20)}, packing=zipfile.ZIP_DEFLATED)


@hostile("which Keras does not write")
def zip_in_zip(folder: Path, honest: Honest, canary: Path) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b", bytes(256 * 2**20))
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(200):
            archive.writestr(str(number), inner.getvalue())
    return rezipped(honest.keras, folder / "nested.keras", more={"a": many.getvalue()}, packing=zipfile.ZIP_DEFLATED)


@hostile("in its two headers")
def zip_overlap(folder: Path, honest: Honest, canary: Path) -> Path:
    """Many members of the directory that share one packed content: little on disk, much when it is unpacked."""
    path = folder / "overlap.keras"
    packing = zlib.compressobj(wbits=-15)
    raw = bytes(2**20)
    packed = packing.compress(raw) + packing.flush()
    check = zlib.crc32(raw)
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 8, 0, 0, check, len(packed), len(raw), 1, 0) + b"a" + packed
    names = [f"{number:05d}".encode() for number in range(1000)]
    central = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, check, len(packed), len(raw), 5, 0, 0, 0, 0, 0, 0)
        + name
        for name in names
    )
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, len(names), len(names), len(central), len(local), 0)
    path.write_bytes(local + central + end)
    return path


@hostile("a path that leads out of the archive")
def zip_traversal(folder: Path, honest: Honest, canary: Path) -> Path:
    return rezipped(honest.keras, folder / "out.keras", more={f"../../../../../../{canary}": b"x"})


@hostile("a path that leads out of the archive")
def zip_absolute(folder: Path, honest: Honest, canary: Path) -> Path:
    return rezipped(honest.keras, folder / "absolute.keras", more={str(canary): b"x"})


@hostile("a link or a special file")
def zip_link(folder: Path, honest: Honest, canary: Path) -> Path:
    path = rezipped(honest.keras, folder / "link.keras")
    link = zipfile.ZipInfo("assets")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(canary.parent))
    return path


@hostile("two members of one name")
def zip_twins(folder: Path, honest: Honest, canary: Path) -> Path:
    """A name in other letters is the same member for PyTorch."""
    return rezipped(honest.keras, folder / "twins.keras", more={"CONFIG.json": b"{}"})


@hostile("bytes between them")
def zip_after_zip(folder: Path, honest: Honest, canary: Path) -> Path:
    """A directory that one reader finds and another does not, behind the first."""
    path = folder / "after.keras"
    path.write_bytes(honest.keras.read_bytes() + honest.pictures.read_bytes())
    return path


# -- SavedModel --


def _saved(folder: Path, name: str, function: Callable[[Any], Any]) -> Path:
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="x")])
        def call(self, x: Any) -> Any:
            return {"y": function(x)}

    module = Module()
    tf.saved_model.save(module, folder / name, signatures=module.call)
    return folder / name


@hostile("the operator PyFunc")
def saved_model_python(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    def touch(x: Any) -> Any:
        canary.touch()
        return x

    return _saved(folder, "python", lambda x: tf.numpy_function(touch, [x], tf.float32))


@hostile("the operator ReadFile")
def saved_model_reads(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    return _saved(folder, "reads", lambda _: tf.io.read_file("/etc/hostname"))


@hostile("the operator WriteFile")
def saved_model_writes(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    def write(x: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(canary), "x")]):
            return tf.identity(x)

    return _saved(folder, "writes", write)


@hostile("outside of the saver")
def saved_model_saves(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    def save(x: Any) -> Any:
        with tf.control_dependencies(
            [tf.raw_ops.SaveV2(prefix=str(canary), tensor_names=["x"], shape_and_slices=[""], tensors=[x])]
        ):
            return tf.identity(x)

    return _saved(folder, "saves", save)


STRING = 7
"""TensorFlow's number of the type of strings."""


def _first(folder: Path, honest: Honest, change: Callable[[Any, dict[str, Any]], None]) -> Path:
    """Copy the SavedModel of TensorFlow 1, its graph changed by ``change(message, {name: node})``."""
    from tensorflow.core.protobuf import saved_model_pb2

    target = folder / "first"
    shutil.copytree(honest.first, target)
    message = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    (meta,) = message.meta_graphs
    change(meta, {node.name: node for node in meta.graph_def.node})
    (target / "saved_model.pb").write_bytes(message.SerializeToString())
    return target


def _node(nodes: dict[str, Any], op: str) -> Any:
    return next(node for node in nodes.values() if node.op == op)


@hostile("the operator RestoreV2 ('save_1/RestoreV2') reads a file outside of the saver")
def first_restores_from_a_place_of_its_own(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(meta: Any, nodes: dict[str, Any]) -> None:
        place = meta.graph_def.node.add(name="place", op="Const")
        place.attr["dtype"].type = STRING
        place.attr["value"].tensor.dtype = STRING
        place.attr["value"].tensor.tensor_shape.SetInParent()
        place.attr["value"].tensor.string_val.append(b"/etc/passwd")
        saver = meta.saver_def.restore_op_name.partition("/")[0]  # another saver of the graph is nobody's
        nodes[f"{saver}/RestoreV2"].input[0] = place.name

    return _first(folder, honest, change)


@hostile("a file outside of the saver")
def first_saves_when_it_is_restored(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(meta: Any, nodes: dict[str, Any]) -> None:
        nodes[meta.saver_def.restore_op_name].input.append(f"^{_node(nodes, 'SaveV2').name}")

    return _first(folder, honest, change)


@hostile("a file outside of the saver")
def first_saves_when_it_begins(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(meta: Any, nodes: dict[str, Any]) -> None:
        meta.collection_def["saved_model_main_op"].node_list.value.append(meta.saver_def.save_tensor_name)

    return _first(folder, honest, change)


@hostile("a file outside of the saver")
def first_saves_when_it_is_called(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(meta: Any, nodes: dict[str, Any]) -> None:
        _node(nodes, "Softmax").input.append(f"^{_node(nodes, 'SaveV2').name}")

    return _first(folder, honest, change)


@hostile("the operator RestoreV2 ('save/RestoreV2') reads a file outside of the saver")
def first_answers_with_what_it_restores(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(meta: Any, nodes: dict[str, Any]) -> None:
        meta.signature_def["serving_default"].outputs["scores"].name = f"{_node(nodes, 'RestoreV2').name}:0"

    return _first(folder, honest, change)


@hostile("a file outside of the saver")
def first_saves_in_a_part_of_a_tensor(folder: Path, honest: Honest, canary: Path) -> Path:
    def change(meta: Any, nodes: dict[str, Any]) -> None:
        info = meta.signature_def["another"].outputs["scores"]
        info.composite_tensor.components.add(name=f"{_node(nodes, 'SaveV2').name}:0")

    return _first(folder, honest, change)


@hostile("a file outside of the saver")
def first_saves_as_a_local_variable_begins(folder: Path, honest: Honest, canary: Path) -> Path:
    from tensorflow.core.framework import variable_pb2

    def change(meta: Any, nodes: dict[str, Any]) -> None:
        local = variable_pb2.VariableDef(initializer_name=_node(nodes, "SaveV2").name)
        meta.collection_def["local_variables"].bytes_list.value.append(local.SerializeToString())

    return _first(folder, honest, change)


@hostile("outside of the saver")
def saved_model_calls_its_answer_the_saver(folder: Path, honest: Honest, canary: Path) -> Path:
    from tensorflow.core.protobuf import saved_model_pb2

    place = saved_model_saves(folder, honest, canary) / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(place.read_bytes())
    (meta,) = message.meta_graphs
    meta.saver_def.save_tensor_name = next(iter(meta.signature_def["serving_default"].outputs.values())).name
    place.write_bytes(message.SerializeToString())
    return place.parent


@hostile("has an attribute twice")
def saved_model_hides_an_attribute(folder: Path, honest: Honest, canary: Path) -> Path:
    """Where two attributes have one name, TensorFlow takes the last."""
    import tensorflow as tf

    from models.files.inside.messages import decoded

    def show(x: Any) -> Any:
        tf.print("x", output_stream="file:///nowhere")
        return tf.identity(x)

    place = _saved(folder, "hides", show) / "saved_model.pb"
    message = decoded("tensorflow", "SavedModel", place.read_bytes(), "made here")
    every = [node for one in message.meta_graphs[0].graph_def.library.function for node in one.node_def]
    for node in (node for node in every if node.op == "PrintV2"):
        (stream,) = (entry for entry in node.attr if entry.key == "output_stream")
        stream.value.s = b"stderr"
        node.attr.add(key="output_stream").value.s = f"file://{canary}".encode()
    place.write_bytes(message.SerializeToString())
    return place.parent


@hostile("is filled from a file that is no asset")
def saved_model_computes_the_name_of_a_file(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    def look_up(x: Any) -> Any:
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        place = tf.strings.lower("/ETC/PASSWD")
        fill = {"table_handle": table, "filename": place, "key_index": -2, "value_index": -1}
        with tf.control_dependencies([tf.raw_ops.InitializeTableFromTextFileV2(**fill)]):
            return tf.identity(x)

    return _saved(folder, "computes", look_up)


@hostile("the operator PrintV2")
def saved_model_prints(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    def show(x: Any) -> Any:
        tf.print("x", output_stream=f"file://{canary}")
        return tf.identity(x)

    return _saved(folder, "prints", show)


@hostile("is filled from a file that is no asset")
def saved_model_words(folder: Path, honest: Honest, canary: Path) -> Path:
    import tensorflow as tf

    def look_up(x: Any) -> Any:
        table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        fill = {"table_handle": table, "filename": "/etc/passwd", "key_index": -2, "value_index": -1}
        with tf.control_dependencies([tf.raw_ops.InitializeTableFromTextFileV2(**fill)]):
            return tf.identity(x)

    return _saved(folder, "words", look_up)


@hostile("holds a link")
def saved_model_link(folder: Path, honest: Honest, canary: Path) -> Path:
    target = folder / "linked"
    shutil.copytree(honest.saved_model, target)
    (target / "assets").mkdir(exist_ok=True)
    (target / "assets" / "words.txt").symlink_to("/etc/passwd")
    return target


@hostile("names an asset that is not in its folder")
def saved_model_asset(folder: Path, honest: Honest, canary: Path) -> Path:
    from tensorflow.core.protobuf import saved_model_pb2

    target = folder / "asset"
    shutil.copytree(honest.saved_model, target)
    message = saved_model_pb2.SavedModel.FromString((target / "saved_model.pb").read_bytes())
    message.meta_graphs[0].asset_file_def.add(filename="../../../../etc/passwd").tensor_info.name = "x:0"
    (target / "saved_model.pb").write_bytes(message.SerializeToString())
    return target


@hostile("no variables/variables.index")
def saved_model_without_variables(folder: Path, honest: Honest, canary: Path) -> Path:
    target = folder / "bare"
    shutil.copytree(honest.saved_model, target)
    shutil.rmtree(target / "variables")
    return target


# -- .onnx --


def _external(folder: Path, honest: Honest, name: str, **where: str) -> Path:
    import onnx

    model = onnx.load(honest.external, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = where.get(entry.key, entry.value)
    target = folder / name
    target.mkdir()
    shutil.copy(honest.external.with_name("weights.bin"), target)
    (target / "two.onnx").write_bytes(model.SerializeToString())
    return target / "two.onnx"


@hostile("lies outside of the model's folder")
def onnx_outside(folder: Path, honest: Honest, canary: Path) -> Path:
    return _external(folder, honest, "outside", location="../../../../etc/passwd")


@hostile("lies outside of the model's folder")
def onnx_absolute(folder: Path, honest: Honest, canary: Path) -> Path:
    return _external(folder, honest, "absolute", location="/etc/passwd")


@hostile("no such file")
def onnx_memory(folder: Path, honest: Honest, canary: Path) -> Path:
    """ONNX Runtime's own mark of data that lies at an address in memory."""
    return _external(folder, honest, "memory", location="*/_ORT_MEM_ADDR_/*")


@hostile("cut short")
def onnx_beyond(folder: Path, honest: Honest, canary: Path) -> Path:
    return _external(folder, honest, "beyond", offset="1000000")


@hostile("behind a link")
def onnx_link(folder: Path, honest: Honest, canary: Path) -> Path:
    path = _external(folder, honest, "link_out", location="hosts")
    path.with_name("hosts").symlink_to("/etc/hosts")
    return path


@hostile("loads compiled code from a path")
def onnx_compiled(folder: Path, honest: Honest, canary: Path) -> Path:
    import onnx

    model = onnx.load(honest.onnx)
    model.graph.node.append(onnx.helper.make_node("EPContext", ["logits"], ["z"], domain="com.microsoft"))
    onnx.save(model, folder / "compiled.onnx")
    return folder / "compiled.onnx"


# -- Files of other kinds --


@hostile("a pickle, which runs code when it is opened")
def pickled(folder: Path, honest: Honest, canary: Path) -> Path:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(Touch(canary)))
    return path


@hostile("a pickle, which runs code when it is opened")
def pickled_module(folder: Path, honest: Honest, canary: Path) -> Path:
    import torch

    torch.save(Touch(canary), folder / "model.pt")
    return folder / "model.pt"


@hostile("a TorchScript archive")
def torchscript(folder: Path, honest: Honest, canary: Path) -> Path:
    path = folder / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"script/{name}", b"x")
    return path


def _written(name: str, content: bytes, reason: str) -> None:
    def make(folder: Path, honest: Honest, canary: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    HOSTILE[f"file_{name}"] = (reason, make)


_written("old.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file (.h5)")
_written("small.tflite", b"\x1c\0\0\0TFL3" + bytes(100), "a TensorFlow Lite file")
_written("large.gguf", b"GGUF" + bytes(100), "a GGUF file")
_written("packed.joblib", b"\x1f\x8b" + bytes(100), "a compressed file")
_written("page.onnx", b"<!DOCTYPE html><html></html>", "a web page")
_written("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS")
_written("text.keras", b"hello\n", "a text")
_written("empty.pt2", b"", "is empty")
_written("noise.onnx", bytes(range(256)) * 4, "of no kind that is known")
_written("weights.safetensors", struct.pack("<Q", 2) + b"{}", "a file of safetensors")


@hostile("a folder without saved_model.pb")
def empty_folder(folder: Path, honest: Honest, canary: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


@hostile("no such file")
def missing(folder: Path, honest: Honest, canary: Path) -> Path:
    return folder / "missing.keras"


@hostile("a link to nowhere")
def link_to_nowhere(folder: Path, honest: Honest, canary: Path) -> Path:
    (folder / "link.onnx").symlink_to(folder / "nowhere")
    return folder / "link.onnx"


@hostile("is a device")
def device(folder: Path, honest: Honest, canary: Path) -> Path:
    return Path("/dev/zero")


@hostile("is a pipe")
def pipe(folder: Path, honest: Honest, canary: Path) -> Path:
    subprocess.run(["mkfifo", str(folder / "pipe.onnx")], check=True)
    return folder / "pipe.onnx"
