"""TorchServe: the handler that its workers run, its settings, and how it is started."""
