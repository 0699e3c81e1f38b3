"""Lists the models that can be trained. A new one needs a folder, and its line here."""

FRAMEWORKS = ("pytorch", "tensorflow")

MODELS: dict[str, str] = {
    "mnist_cnn": "models.mnist_cnn",
}
"""Maps a model's name to its package, which holds SPEC and the modules torch_net, keras_net, data and train."""
