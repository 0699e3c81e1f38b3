"""Reads the parts inside model files: JSON, HDF5, protobuf messages, pickles, expressions. Nothing of them is run."""
