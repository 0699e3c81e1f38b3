"""Serve models by TensorFlow Serving's API, on the TensorFlow runtime of this Python.

``python -m serving.tf_serving --help`` lists its flags, which are those of tensorflow_model_server.

A request arrives at ``rest_api/`` or ``grpc_api/``, which turn its bytes into arrays with ``codecs/``. ``calls/``
then handles predict, metadata, status, classify and regress, by a signature of a ``runtime/servable.py``.
``versions/`` watches the folders of the models that ``settings/models.py`` reads from the flags or a file: it
loads, warms up, labels and drops their versions. ``base/metrics.py`` counts. ``server.py`` runs all of it from
start to end, and ``recipe.py`` tells the rest of slipway how to start it as a process.
``serving/conformance`` has the test cases of the API, for the tests and for ``slipway conform``.

Messages and status codes are the same as those of tensorflow/serving, because users' code relies on them.
Each module names the source file that it follows.
"""
