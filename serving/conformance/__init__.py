"""Test any server against the cases of TF Serving's API, with the models that the cases need.

``case.py`` defines a case; ``urls.py``, ``values.py``, ``outputs.py``, ``examples.py``, ``errors.py``
and ``services.py`` list the cases; ``catalogue.py`` joins them, and names the cases that need a server of
their own. ``run.py`` runs a case. ``write.py`` writes the models (``half_plus.py``, ``echo.py``) and the
configuration files of the server to test. ``slipway conform`` is the command, and the tests of
``serving/tf_serving`` run the same cases.

The cases are numbered as in the project's reference of the API. An answer is compared by status, by JSON
value or message, or by a part of an error's text, never byte by byte.
"""
