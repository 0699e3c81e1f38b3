"""A convolutional network that names the subject of a photograph: EfficientNet-Lite0, the 1,000 classes of ImageNet."""

from pathlib import Path

from models.spec import BATCH, Floor, ImagePreprocessing, ModelSpec, TensorSpec, Uniform
from models.task import Classes

# One short name a line, in the order of the network's outputs: the words of WordNet for the classes of ILSVRC 2012,
# as torchvision 0.22.0 shortens them (torchvision.models._meta).
LABELS = tuple(Path(__file__).with_name("labels.txt").read_text(encoding="utf-8").splitlines())

# (pixel - 127) / 128: the values that the network was trained with (MEAN_RGB and STDDEV_RGB of
# models/official/efficientnet/lite/efficientnet_lite_builder.py in github.com/tensorflow/tpu).
PREPROCESSING = ImagePreprocessing(
    height=224, width=224, channels=3, offset=127.0, scale=128.0, ground=255, crop=224 / 256
)

SPEC = ModelSpec(
    name="efficientnet_lite0",
    title="Photographs, EfficientNet-Lite0 (ImageNet)",
    inputs=(TensorSpec("image", "float32", (BATCH, 224, 224, 3), Uniform(-1, 1)),),
    outputs=(TensorSpec("logits", "float32", (BATCH, 1000)),),
    task=Classes(LABELS),
    preprocessing=PREPROCESSING,
    rate_per_s=10.0,
    offline_batch=4,
    max_batch=16,
    # Seen: float16 44.4 dB, bfloat16 23.6, dynamic int8 19.9, int8 13.9 (weights of seven bits) to 19.4 (eight).
    # A wrong epsilon has 12.5, a dead channel 11.3, mirrored pictures 12.5; int8 hides what is below its own noise:
    # pictures shifted by a pixel have 15.1, weights of the first layer 5 % off 25.
    floors={
        "fp16": Floor(40, 0.97),
        "bf16": Floor(20, 0.92),
        "int8-dynamic": Floor(15, 0.85),
        "int8": Floor(13, 0.8),
    },
)
