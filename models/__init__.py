"""What is trained. Adding a model is one folder and its line here."""

FRAMEWORKS = ("pytorch", "tensorflow")

MODELS: dict[str, str] = {
    "mnist_cnn": "models.mnist_cnn",
}
"""Model name -> package. The package holds SPEC and the modules torch_net, keras_net, data and train."""
