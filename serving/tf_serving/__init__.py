"""Serve SavedModels, or the .tflite files beside them, by TensorFlow Serving's API: REST and gRPC.

``python -m serving.tf_serving`` takes TensorFlow Serving's own flags. A request arrives at ``rest_api`` or
``grpc_api``; ``codecs`` turn its bytes into tensors; ``calls`` handle it; ``versions`` find the loaded model, and
``runtime`` runs it, alone or in a batch. ``settings`` read the flags and configuration files. All of them use
``base``. ``server.py`` runs everything from start to end, and ``recipe.py`` starts it as a process for slipway.
``serving/conformance`` has the test cases of the API.

Messages and status codes are those of tensorflow/serving, because users' code relies on them. Each module names the
source file that it follows.
"""
