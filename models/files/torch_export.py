"""Reads a ``.pt2`` file of torch.export, which PyTorch would load by running parts of it."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.files import FileFacts, RefusedFile
from models.files.archives import CheckedZip, opened_zip, zip_in
from models.files.contents import sha256_of
from models.files.inside import pickles
from models.files.inside.jsons import MOST_BYTES, mapping, parsed
from models.files.inside.torch_program import TARGETS, operators_of, outside
from models.files.inside.torch_signature import ProgramSignature
from models.files.shapes import fixed_batch

PROGRAM, SAMPLES = "models/model.json", "data/sample_inputs/model.pt"
CONFIGS = {
    "weights": "data/weights/model_weights_config.json",
    "constants": "data/constants/model_constants_config.json",
}
MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version|\.storage_alignment"
    r"|models/model\.json|data/sample_inputs/model\.pt|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|extra/[\w./-]+"
)
"""The members that torch.export writes. Others are compiled code, pickles or objects."""
PAYLOAD = re.compile(r"(weight|tensor)_\d+")
ITEMSIZE = {
    **dict.fromkeys((1, 2, 12, 29, 30), 1),
    **dict.fromkeys((3, 6, 13, 28), 2),
    **dict.fromkeys((5, 8, 10, 35), 8),
}
SAMPLE_BYTES = 512 * 2**20


def read(path: Path) -> FileFacts:
    """Read the signature, the operators and the sizes of a program. Raises RefusedFile."""
    with opened_zip(path) as archive:
        root = root_of(archive)
        program = _json(archive, root + PROGRAM)
        code = [*_strange(archive, root), *outside(program), *_samples(archive, root)]
        payloads = [*_payloads(archive, root, "weights"), *_payloads(archive, root, "constants")]
    code += (f"{name} is kept as a pickle" for name, one in payloads if one.get("use_pickle"))
    # Several names may have one tensor: it counts once.
    tensors = {one["path_name"]: one["tensor_meta"] for _, one in payloads if one.get("tensor_meta")}.values()
    counts = [(math.prod(size["as_int"] for size in one["sizes"]), ITEMSIZE.get(one["dtype"], 4)) for one in tensors]
    signature = ProgramSignature(program)
    targets = operators_of(program)
    low, high = signature.batch_bounds
    warnings = [f"an input or output that is no tensor: {kind}" for kind in signature.others]
    if fixed_batch(signature.inputs) is None and (low > 1 or high is not None):
        warnings.append(f"it takes {low} to {'any number of' if high is None else high} rows")
    schema = program.get("schema_version") or {}
    return FileFacts(
        kind="pt2",
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        inputs=tuple(signature.inputs),
        outputs=tuple(signature.outputs),
        batch=fixed_batch(signature.inputs),
        most_rows=high,
        lengths=signature.lengths,
        guessed=signature.guessed,
        operators=Counter(targets),
        versions={
            "torch": str(program.get("torch_version", "unknown")),
            "schema": f"{schema.get('major')}.{schema.get('minor')}",
            **{f"opset {name}": str(number) for name, number in (program.get("opset_version") or {}).items()},
        },
        parameters=sum(count for count, _ in counts),
        parameter_bytes=sum(count * size for count, size in counts),
        custom=tuple(sorted({one for one in targets if _of_others(one)})),
        code=tuple(dict.fromkeys(code)),
        warnings=tuple(warnings),
    )


def rewritten(path: Path, out: Path) -> None:
    """Write a copy without guards, which PyTorch would run as Python code at the first call. Raises RefusedFile."""
    with opened_zip(path) as archive, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as copy:
        root = root_of(archive)
        for name, member in archive.members.items():
            content: Any = archive.view(name)
            if name == root + PROGRAM:
                content = json.dumps({**_json(archive, name), "guards_code": []}).encode()
            # PyTorch takes the folder's name from the first member, so their order stays.
            with copy.open(zipfile.ZipInfo(member.name), "w", force_zip64=len(content) >= 2**31) as file:
                file.write(content)


def root_of(archive: CheckedZip) -> str:
    """Return the one folder that all members lie in, with a slash. Raises RefusedFile if there are more."""
    roots = {name.partition("/")[0] + "/" for name in archive.members}
    if len(roots) != 1:
        raise RefusedFile(f"{archive.what} has {len(roots)} folders, and torch.export writes one. The file is damaged")
    return roots.pop()


def _strange(archive: CheckedZip, root: str) -> Iterator[str]:
    for name, member in archive.members.items():
        if not member.stored:
            raise RefusedFile(f"{name} in {archive.what} is compressed, and torch.export stores everything as it is")
        if not MEMBERS.fullmatch(name.removeprefix(root)):
            yield f"it holds {name[:80]!r}, which torch.export does not write: compiled code, a pickle or an object"


def _samples(archive: CheckedZip, root: str) -> Iterator[str]:
    """Say what the sample inputs would run: PyTorch unpickles them, tensors alone at first, and then all of it."""
    inner = zip_in(archive.read(root + SAMPLES, SAMPLE_BYTES), "the sample inputs")
    pickle = root_of(inner) + "data.pkl"
    if found := pickles.suspicious(inner.read(pickle, pickles.MOST_BYTES), "the sample inputs"):
        yield found
    if any((name.endswith(".pkl") and name != pickle) or "/code/" in name for name in inner.members):
        yield "the sample inputs hold more than tensors"


def _payloads(archive: CheckedZip, root: str, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each tensor's entry, once its bytes are known to be there: PyTorch makes what an empty member asks for."""
    for name, one in mapping(_json(archive, root + CONFIGS[kind]).get("config"), CONFIGS[kind]).items():
        place, about = str(one["path_name"]), one.get("tensor_meta")
        if not PAYLOAD.fullmatch(place):
            yield name, {**one, "use_pickle": True}
            continue
        if about:
            sizes, strides = ([int(size["as_int"]) for size in about[key]] for key in ("sizes", "strides"))
            last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
            needs = int(about["storage_offset"]["as_int"]) + last + 1 if math.prod(sizes) else 0
            member = archive.members.get(f"{root}data/{kind}/{place}")
            if (
                member is None
                or min([*sizes, *strides, 0]) < 0
                or needs * ITEMSIZE.get(about["dtype"], 4) > member.size
            ):
                raise RefusedFile(
                    f"{name} has the shape {sizes}, and fewer bytes in {archive.what}. The file is damaged"
                )
        yield name, one


def _json(archive: CheckedZip, name: str) -> dict[str, Any]:
    return mapping(parsed(archive.read(name, MOST_BYTES), name), name)


def _of_others(target: str) -> bool:
    """Tell if an operator, without the beginning that all have, is another library's."""
    own = target.startswith(("_operator.", "math.", "torch."))
    return not own and not TARGETS.fullmatch(f"torch.ops.{target}")
