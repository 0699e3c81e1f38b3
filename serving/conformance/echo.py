"""Write models that return their inputs in every type and shape, and a model that counts."""

# mypy: disable-error-code="no-untyped-def, misc"
# TensorFlow's types are not installed when mypy runs.

from __future__ import annotations

from pathlib import Path

ECHOED = ("int32", "int64", "uint8", "bool", "float", "double", "string", "half", "bfloat16", "uint16", "complex64")


def write_echo(folder: Path) -> None:
    """Write a version of a model with one signature for each kind of input and output."""
    import tensorflow as tf

    def takes(**inputs):
        return tf.function(
            input_signature=[tf.TensorSpec(shape, dtype, name=n) for n, (dtype, shape) in inputs.items()]
        )

    def echo(dtype):
        return tf.function(lambda default: {"y": default}, input_signature=[tf.TensorSpec(None, dtype, name="default")])

    one, any_shape = tf.float32, None

    class Echo(tf.Module):
        def __init__(self):
            self.kernel = tf.Variable(tf.ones([3, 2]))

        @takes(int_tensor=(tf.int32, None))
        def one_named(self, int_tensor):
            return {"int_tensor": int_tensor}

        @takes(a=(one, None), b=(one, None))
        def two(self, a, b):
            return {"a": a, "b": b}

        @takes(
            int_tensor=(tf.int32, None),
            str_tensor=(tf.string, None),
            float_tensor=(tf.float32, None),
            double_tensor=(tf.float64, None),
        )
        def four(self, int_tensor, str_tensor, float_tensor, double_tensor):
            return {
                "int_tensor": int_tensor,
                "str_tensor": str_tensor,
                "float_tensor": float_tensor,
                "double_tensor": double_tensor,
            }

        @takes(text=(tf.string, None))
        def texts(self, text):
            return {"text": text, "text_bytes": text}

        @takes(x=(one, any_shape))
        def with_sum(self, x):
            return {"sum": tf.reduce_sum(x), "x": x}

        @takes(x=(one, any_shape))
        def uneven(self, x):
            return {"a": x, "b": x[:1]}

        @takes(x=(one, [None]))
        def none_left(self, x):
            return {"y": tf.boolean_mask(x, x > 1e30)}

        @takes(x=(one, [None, 3]))
        def dense(self, x):
            return {"y": x @ self.kernel}

        @takes(x=(one, any_shape))
        def to_half(self, x):
            return {"y": tf.cast(x, tf.float16)}

        @takes(x=(one, any_shape))
        def to_complex(self, x):
            return {"y": tf.complex(x, x)}

        @takes(inputs=(tf.string, [None]))
        def labels(self, inputs):
            """Return two classes with labels and scores."""
            count = tf.shape(inputs)[0]
            return {
                "classes": tf.tile([["cat", "dog"]], [count, 1]),
                "scores": tf.tile([[0.75, 0.25]], [count, 1]),
            }

    model = Echo()
    signatures = {name: echo(getattr(tf, {"float": "float32", "double": "float64"}.get(name, name))) for name in ECHOED}
    signatures |= {
        name: getattr(model, name)
        for name in vars(Echo)
        if hasattr(getattr(model, name, None), "get_concrete_function")
    }
    tf.saved_model.save(model, str(folder), signatures=signatures)


def write_slow(folder: Path, seconds: float = 2.0) -> None:
    """Write a version of a model that computes for ``seconds``."""
    import tensorflow as tf

    class Slow(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def slow(self, x):
            start = tf.timestamp()
            (y,) = tf.while_loop(lambda _: tf.timestamp() - start < seconds, lambda y: (tf.sin(y),), [x])
            return {"y": y}

    model = Slow()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.slow})


def write_counter(folder: Path) -> None:
    """Write a version of a model with state: signatures that read, increase and reset a counter."""
    import tensorflow as tf

    class Counter(tf.Module):
        def __init__(self):
            self.total = tf.Variable(0.0)

        @tf.function(input_signature=[])
        def get_counter(self):
            return {"output": self.total.read_value()}

        @tf.function(input_signature=[])
        def incr_counter(self):
            return {"output": self.total.assign_add(1.0)}

        @tf.function(input_signature=[])
        def reset_counter(self):
            return {"output": self.total.assign(0.0)}

        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="delta")])
        def incr_counter_by(self, delta):
            return {"output": self.total.assign_add(delta)}

    model = Counter()
    names = ("get_counter", "incr_counter", "reset_counter", "incr_counter_by")
    tf.saved_model.save(model, str(folder), signatures={name: getattr(model, name) for name in names})


def write_empty(folder: Path) -> None:
    """Write a version of a model whose only signature has no outputs."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], "x")
        v1.get_variable("unused", initializer=0.0)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.signature_def_utils.build_signature_def(
            {"x": v1.saved_model.build_tensor_info(x)}, {}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
