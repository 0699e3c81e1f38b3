"""Serves SavedModels, or the .tflite beside them, over TensorFlow Serving's API: REST and gRPC.

``python -m serving.tf_serving`` takes TensorFlow Serving's own flags. A request comes in through ``rest_api`` or
``grpc_api``; ``codecs`` turn its bytes into tensors; ``calls`` say what is asked for; ``versions`` find the loaded
model, which ``runtime`` runs, alone or in a batch; ``settings`` are the flags and configuration files. ``base`` is used
by all of them.
"""
