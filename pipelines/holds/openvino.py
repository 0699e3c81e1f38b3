"""Reads OpenVINO's pair of files."""

from __future__ import annotations

import math
import re
from pathlib import Path

from pipelines.holds.totals import numbers_of, totals
from pipelines.results import Holds

ENDS = ("Constant", "Parameter", "Result")
TYPES = {"bf": "bfloat", "f": "float", "i": "int", "u": "uint"}


def openvino_holds(path: Path, precision: list[str]) -> Holds:
    """Read an ``.xml`` file and its ``.bin``; ``precision`` is where it says in which one it is to be computed."""
    import openvino

    model = openvino.Core().read_model(path)
    operations = model.get_ordered_ops()
    used = [one for one in operations if one.get_type_name() not in ENDS]
    constants = [one.output(0) for one in operations if one.get_type_name() == "Constant"]
    return Holds(
        weights=totals(
            (
                _type(one.get_element_type().get_type_name()),
                math.prod(one.get_shape()) * one.get_element_type().bitwidth // 8,
            )
            for one in constants
        ),
        operators=numbers_of(one.get_type_name() for one in used),
        custom=tuple(
            sorted({one.get_type_name() for one in used if not one.get_type_info().version_id.startswith("opset")})
        ),
        facts={
            "IR version": str(model.get_rt_info("version").value),
            "precision": str(model.get_rt_info(precision).value),
        },
    )


def _type(name: str) -> str:
    """Turn a type of OpenVINO's into numpy's."""
    found = re.fullmatch(r"(bf|f|i|u)(\d+)", name)
    return TYPES[found[1]] + found[2] if found else {"boolean": "bool"}.get(name, name)
