"""The cases of TF Serving's API as data, the models they need, and what runs them against any server.

``case.py`` says what a case is; ``urls.py``, ``values.py``, ``outputs.py``, ``examples.py``, ``errors.py``
and ``services.py`` list them; ``catalogue.py`` joins them, and names the cases that need a server of their
own. ``run.py`` runs one. ``write.py`` writes the models (``half_plus.py``, ``echo.py``) and the
configuration files of the server to test. ``slipway conform`` is the command, and the tests of
``serving/tf_serving`` run the same cases.

The numbers of the cases are those of the project's reference of the API. An answer is compared by status,
by JSON value or message, or by a part of an error's text, never byte by byte.
"""
