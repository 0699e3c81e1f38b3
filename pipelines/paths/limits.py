"""Lists what is known not to work, or to work within limits, by the operators in a file: each was seen to happen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.files import FileFacts
from models.spec import BATCH

LOOPS = "LSTM|GRU|SimpleRNN|Bidirectional|ConvLSTM.D|TensorListReserve|While|StatelessWhile"
TEXTS = "TextVectorization|StringLookup|StringLower|StaticRegexReplace|StringSplitV2"
GELU = "gelu|Erfc"


@dataclass(frozen=True, slots=True)
class Limit:
    """One line: of which path (``PATH`` or ``PATH:VARIANT``; None for all), for which files, and why.

    ``operators`` is a pattern of an operator's whole name, ``way`` one of the way that the file goes (both: any, if
    empty). ``free`` asks for a free dimension besides the rows, ``opset_below`` for
    older operators of ONNX. ``prevents`` is False where the variant works, within the limit.
    """

    path: str | None
    reason: str
    operators: str = ""
    way: str = ""
    free: bool = False
    opset_below: int = 0
    prevents: bool = True

    def applies(self, facts: FileFacts, way: str) -> bool:
        """Tell if a file that goes a way has this limit."""
        tensors = facts.inputs
        opset = facts.versions.get("opset", "")
        return all(
            (
                not self.operators or any(re.fullmatch(self.operators, name) for name in facts.operators),
                bool(re.search(self.way, way)),
                not self.free or any(isinstance(size, str) and size != BATCH for one in tensors for size in one.shape),
                not self.opset_below or (opset.isdecimal() and int(opset) < self.opset_below),
            )
        )


LIMITS = (
    Limit(
        None,
        "operators of libraries that slipway does not have: see above",
        operators=r"(?!ai\.onnx\.ml|com\.microsoft).*::.*",
    ),
    Limit(
        None,
        "UpSampling2D with a free height or width is not exported by Keras",
        "UpSampling2D",
        "saved_model|^keras$",
        free=True,
    ),
    # Texts.
    Limit("openvino", "OpenVINO has no operators for strings or lookup tables", TEXTS),
    Limit("onnxruntime:keras", "tf2onnx does not convert operators for strings", TEXTS),
    Limit(None, "tf2onnx does not convert operators for strings", TEXTS, "tf2onnx"),
    # TensorFlow's own.
    Limit("tfjs", "TF.js has no kernel for Erfc, of an exact GELU", GELU),
    Limit("tfjs", "TF.js does not run the loops of recurrent layers", LOOPS),
    Limit("tfjs", "TF.js has no kernel for the hard swish that its converter makes", "hard_silu|hard_swish"),
    Limit("onnxruntime:keras", "tf2onnx writes Erfc, of an exact GELU, which ONNX does not have", GELU),
    Limit(None, "tf2onnx writes Erfc, of an exact GELU, which ONNX does not have", GELU, "tf2onnx"),
    Limit("litert", "one row a call: recurrent layers take no free number of rows", LOOPS, prevents=False),
    Limit("litert-web", "LiteRT.js takes one shape: lengths have to be fixed", free=True),
    # PyTorch's own.
    Limit(
        None,
        "the length is fixed: PyTorch unrolls the loops of recurrent layers",
        LOOPS,
        "torch",
        free=True,
        prevents=False,
    ),
    *(
        Limit(path, "its exporter does not take torch.cond", r"higher_order\.(cond|while_loop)")
        for path in ("torchscript", "executorch", "litert-torch", "torchserve:torchscript")
    ),
    Limit("executorch", "one row a call: XNNPACK takes one free dimension", free=True, prevents=False),
    Limit("litert-torch", "one row a call, of fixed lengths", prevents=False),
    # ONNX.
    Limit("openvino", "OpenVINO does not have the operators of ai.onnx.ml", r"ai\.onnx\.ml::.*"),
    Limit("onnxruntime", "ONNX Runtime has no kernels of an opset below 7", opset_below=7),
    Limit("onnxruntime-web", "ONNX Runtime has no kernels of an opset below 7", opset_below=7),
)
