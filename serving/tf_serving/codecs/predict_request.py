"""Read the body of a REST predict request: with the fast parser if the body is regular, else with the exact one."""

from __future__ import annotations

from collections.abc import Mapping

from serving.tf_serving.base.dtypes import Arrays, TensorInfo
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.codecs.json_numbers import Numbers, is_placeholder, split
from serving.tf_serving.codecs.json_to_tensors import document, predict_inputs


class PredictRequest:
    """A predict request as a JSON object.

    Raises:
        ServingError: it is not a JSON object, or its signature_name is not a string.
    """

    __slots__ = ("_body", "_document", "_numbers")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._numbers: Numbers | None = None
        if found := split(body):
            try:
                self._document = document(found[0])
            except ServingError:
                pass  # its message would mention the placeholder
            else:
                self._numbers = found[1]
                return
        self._document = document(body)

    @property
    def signature_name(self) -> str:
        """The requested signature, or an empty text."""
        return str(self._document.get("signature_name") or "")

    def inputs(self, infos: Mapping[str, TensorInfo]) -> tuple[Arrays, bool]:
        """Return the same as :func:`~serving.tf_serving.codecs.json_to_tensors.predict_inputs`."""
        if self._numbers is not None:
            found = self._regular(self._numbers, infos)
            self._numbers = None
            if found is not None:
                return found
            self._document = document(self._body)
        return predict_inputs(self._document, infos)

    def _regular(self, numbers: Numbers, infos: Mapping[str, TensorInfo]) -> tuple[Arrays, bool] | None:
        """Return the numbers as the single input; None if there are several inputs, or the numbers do not fit."""
        request = self._document
        if len(infos) != 1 or ("instances" in request) == ("inputs" in request):
            return None
        ((name, info),) = infos.items()
        rows = "instances" in request
        value = request["instances" if rows else "inputs"]
        if not rows and isinstance(value, dict):
            value = value.get(name)
        if not is_placeholder(value):
            return None
        array = numbers.array(info)
        return None if array is None else ({name: array}, rows)
