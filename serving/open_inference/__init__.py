"""ONNX Runtime behind the Open Inference Protocol, version 2, by KServe's Python server."""
