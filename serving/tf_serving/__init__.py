"""A server that speaks TensorFlow Serving's API, on the TensorFlow runtime of this Python.

``python -m serving.tf_serving --help`` lists its flags, which are tensorflow_model_server's own.

A request comes in through one of two faces and meets in the middle: ``rest.py`` (with ``urls.py``, ``http_server.py``,
``http_connection.py``, ``http_reader.py``, ``http_message.py``, ``http_body.py``, ``json_text.py``,
``json_to_tensors.py`` and ``tensors_to_json.py``) or ``grpc_service.py`` (with ``grpc_server.py``,
``grpc_predict.py``, ``tensor_proto.py`` and :mod:`serving.http2`), then ``handlers.py`` for predict, metadata and
status or ``inference.py`` for classify and regress (``examples.py``, ``classification.py``, ``regression.py``), then a
signature of a ``servable.py``. ``manager.py`` keeps the models that ``config.py`` names, ``config_file.py``
follows: it watches their folders (``versions.py``); ``loader.py`` loads, warms up (``warmup.py``) and drops
versions, ``states.py`` remembers them and ``labels.py`` names them. ``metrics.py`` counts. ``server.py``
holds all of it from start to end, and ``recipe.py`` is how the rest of slipway starts it as a process.
``conformance`` holds the cases of the API, for the tests and for ``slipway conform``.

The messages and status codes are those of tensorflow/serving: an interface that its users' code
relies on. Each module names the source file that it follows.
"""
