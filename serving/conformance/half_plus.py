"""Write half_plus_two with its six signatures and half_plus_three, in the formats of TensorFlow 2 and 1.

y = x / 2 + 2, y2 = x / 2 + 3, y3 = x2 / 2 + 3. The signatures ``*_x_*`` for classify and regress take
serialised examples with the feature x, those named ``*_x2_*`` a tensor. The six signatures and their results
are the same as those of half_plus_two in tensorflow/serving's own tests.
"""

# mypy: disable-error-code="no-untyped-def, misc"
# TensorFlow's types are not installed when mypy runs.

from __future__ import annotations

from pathlib import Path

METHODS = {
    "serving_default": "tensorflow/serving/predict",
    "regress_x_to_y": "tensorflow/serving/regress",
    "regress_x_to_y2": "tensorflow/serving/regress",
    "regress_x2_to_y3": "tensorflow/serving/regress",
    "classify_x_to_y": "tensorflow/serving/classify",
    "classify_x2_to_y3": "tensorflow/serving/classify",
}


def write_tf2(folder: Path, plus: float = 2.0) -> None:
    """Write a version of the model with TensorFlow 2 into ``folder``."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    def of(dtype, name, *shape):
        return tf.function(input_signature=[tf.TensorSpec(shape, dtype, name=name)])

    class HalfPlus(tf.Module):
        def __init__(self) -> None:
            self.a, self.b, self.c = tf.Variable(0.5), tf.Variable(plus), tf.Variable(3.0)

        @of(tf.float32, "x", None, 1)
        def serving_default(self, x):
            return {"y": self.a * x + self.b}

        @of(tf.string, "inputs", None)
        def regress_x_to_y(self, inputs):
            return {"outputs": self.a * _x(inputs) + self.b}

        @of(tf.string, "inputs", None)
        def regress_x_to_y2(self, inputs):
            return {"outputs": self.a * _x(inputs) + self.c}

        @of(tf.float32, "inputs", None, 1)
        def regress_x2_to_y3(self, inputs):
            return {"outputs": self.a * inputs + self.c}

        @of(tf.string, "inputs", None)
        def classify_x_to_y(self, inputs):
            return {"scores": self.a * _x(inputs) + self.b}

        @of(tf.float32, "inputs", None, 1)
        def classify_x2_to_y3(self, inputs):
            return {"scores": self.a * inputs + self.c}

    model = HalfPlus()
    tf.saved_model.save(model, str(folder), signatures={name: getattr(model, name) for name in METHODS})
    # TensorFlow 2 sets every method name to "predict". Its MethodNameUpdater would also rewrite the file.
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for name, method in METHODS.items():
        saved.meta_graphs[0].signature_def[name].method_name = method
    file.write_bytes(saved.SerializeToString())


def write_tf1(folder: Path) -> None:
    """Write a version of half_plus_two in TensorFlow 1's format: one graph whose signatures share their tensors."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        a, b, c = (v1.get_variable(name, initializer=value) for name, value in (("a", 0.5), ("b", 2.0), ("c", 3.0)))
        examples = v1.placeholder(tf.string, [None], "tf_example")
        spec = {name: v1.FixedLenFeature([1], tf.float32, [0.0]) for name in ("x", "x2")}
        parsed = v1.parse_example(examples, spec)
        x, x2 = tf.identity(parsed["x"], "x"), tf.identity(parsed["x2"], "x2")
        y, y2, y3 = tf.add(a * x, b, "y"), tf.add(a * x, c, "y2"), tf.add(a * x2, c, "y3")
        tensors = {
            "serving_default": ({"x": x}, {"y": y}),
            "regress_x_to_y": ({"inputs": examples}, {"outputs": y}),
            "regress_x_to_y2": ({"inputs": examples}, {"outputs": y2}),
            "regress_x2_to_y3": ({"inputs": x2}, {"outputs": y3}),
            "classify_x_to_y": ({"inputs": examples}, {"scores": y}),
            "classify_x2_to_y3": ({"inputs": x2}, {"scores": y3}),
        }
        signatures = {name: _definition(v1, *tensors[name], METHODS[name]) for name in METHODS}
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, [v1.saved_model.tag_constants.SERVING], signatures)
        builder.save()


def _x(examples):
    import tensorflow as tf

    return tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]


def _definition(v1, inputs, outputs, method):
    info = v1.saved_model.build_tensor_info
    return v1.saved_model.signature_def_utils.build_signature_def(
        {alias: info(tensor) for alias, tensor in inputs.items()},
        {alias: info(tensor) for alias, tensor in outputs.items()},
        method,
    )
