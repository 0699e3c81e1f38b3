"""A small convolutional network that reads handwritten digits (28x28, greyscale)."""

from models.spec import BATCH, ImagePreprocessing, ModelSpec, TensorSpec, Uniform
from models.task import Classes

SPEC = ModelSpec(
    name="mnist_cnn",
    title="Handwritten digits, small CNN",
    inputs=(TensorSpec("image", "float32", (BATCH, 28, 28), Uniform(0, 1)),),
    outputs=(TensorSpec("logits", "float32", (BATCH, 10)),),
    task=Classes(tuple("0123456789")),
    preprocessing=ImagePreprocessing(height=28, width=28, channels=1, offset=0.0, scale=255.0, ground=0),
    rate_per_s=200.0,
)
