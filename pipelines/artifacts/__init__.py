"""Keeps the files that a path ships: the store, manifests, certificates, the reference and parity."""
