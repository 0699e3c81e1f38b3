"""Find, load, label and unload the versions of models."""
