"""Measures the CPU time that the worst bodies cost each server; writes results/bodies.json.

    python benchmarks/bodies.py [--megabytes 4] [--runs 3]

Each server runs as the tool starts it, over a cheap network for pictures of 224x224x3. A body is about as large as
--megabytes says, as it is sent, and is sent alone; the figure is the CPU time of all of the server's processes until
it has answered, for each megabyte that was sent. One honest body stands beside them. Medians of the runs.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from pictures import SIDE, SPEC

from pipelines.fairness.hardware import this_machine
from serving.launch import LaunchRequest, Server, free_ports, serve

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "bodies.json"
TIMEOUT_S = 300.0
GZIP = {"Content-Encoding": "gzip"}


@dataclass(frozen=True, slots=True)
class Target:
    """A server's JSON API: how its requests begin and end around the value of the input."""

    package: str
    path: str
    server: str
    before: bytes
    after: bytes = b"]}"


NAME = SPEC.name
TARGETS = {
    "TF Serving's API": Target("tf-serving", f"/v1/models/{NAME}:predict", "tf_serving", b'{"instances":[', b"]}"),
    "Open Inference": Target(
        "onnxruntime",
        f"/v2/models/{NAME}/infer",
        "open_inference",
        b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,%d,%d,3],"data":[' % (SIDE, SIDE),
        b"]}]}",
    ),
    "TorchServe": Target("torchserve", f"/predictions/{NAME}", "torchserve", b'{"inputs":{"image":[', b"]}}"),
}


@dataclass(frozen=True, slots=True)
class Body:
    """A body to send."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)


Make = Callable[[Target, int], Body]


def repeated(part: bytes, last: bytes = b"0") -> Make:
    """Make a body whose input is a list of equal parts, and one last value."""
    return lambda to, size: Body(to.before + part * (size // len(part)) + last + to.after)


def unclosed(part: bytes) -> Make:
    """Make a body of equal parts that does not end."""
    return lambda to, size: Body(to.before + part * (size // len(part)))


def alone(part: bytes) -> Make:
    """Make a body of equal parts and nothing else."""
    return lambda _to, size: Body(part * (size // len(part)))


def honest(to: Target, size: int) -> Body:
    """Make a request that is answered: pictures, as many as fit."""
    row = b"[" + b",".join([b"[" + b",".join([b"[0.25,0.5,0.75]"] * SIDE) + b"]"] * SIDE) + b"]"
    count = max(1, size // len(row))
    before = to.before.replace(b'shape":[1,', b'shape":[%d,' % count)
    return Body(before + b",".join([row] * count) + to.after)


def deep_beside(part: bytes) -> Make:
    """Make a body with many parts, and one value that is deeper than parsers go."""
    deep = b"[" * 1100 + b"]" * 1100
    return lambda to, size: Body(b'{"x":' + deep + b"," + to.before[1:] + part * (size // len(part)) + b"0" + to.after)


def twice(to: Target, size: int) -> Body:
    """Make a body that has the input's key twice."""
    zeros = b"0," * (size // 4) + b"0"
    return Body(to.before + zeros + to.after[:-1] + b"," + to.before[1:] + zeros + to.after)


def names(to: Target, size: int) -> Body:
    """Make an object with many names beside the input."""
    many = b",".join(b'"%d":0' % number for number in range(size // 11))
    return Body(b"{" + many + b"," + to.before[1:] + b"0" + to.after)


def packed(part: bytes, size: int) -> bytes:
    """Compress a thousand times ``size`` bytes of equal parts to about ``size``, piece by piece."""
    writer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = part * (2**20 // len(part))
    return b"".join(writer.compress(piece) for _ in range(1000 * size // len(piece))) + writer.flush()


BODIES: dict[str, Make] = {
    "an honest request": honest,
    "`[` without end": alone(b"["),
    '`{"a":` without end': alone(b'{"a":'),
    "`[`, half a million deep and closed, where nobody reads it": lambda to, size: Body(
        b'{"x":'
        + b"[" * min(500_000, size // 2)
        + b"]" * min(500_000, size // 2)
        + b","
        + to.before[1:]
        + b"0"
        + to.after
    ),
    "empty lists": repeated(b"[],"),
    "empty objects": repeated(b"{},"),
    "empty objects beside a deep value": deep_beside(b"{},"),
    "zeros, and a text at the end": repeated(b"0,", b'"x"'),
    "zeros without an end": unclosed(b"0,"),
    "fractions, and NaN at the end": repeated(b"0.5,", b"NaN"),
    "fractions, and 1e400 at the end": repeated(b"0.5,", b"1e400"),
    "empty texts": repeated(b'"",'),
    "a text of escapes": lambda to, size: Body(to.before + b'"' + b"\\u0041" * (size // 6) + b'"' + to.after),
    "a text without an end": lambda to, size: Body(to.before + b'"' + b'\\"' * (size // 2)),
    "a number of millions of digits": lambda to, size: Body(to.before + b"9" * size + to.after),
    "base64 of one byte each": repeated(b'{"b64":"AA=="},'),
    "hundreds of thousands of names": names,
    "the input, twice": twice,
    "bytes that are no UTF-8": lambda to, size: Body(to.before + b'"' + b"\xff" * size + b'"' + to.after),
    "blanks": alone(b" "),
    "gzip of blanks, 1:1000": lambda _to, size: Body(packed(b" ", size), GZIP),
    "gzip of `[`, 1:1000": lambda _to, size: Body(packed(b"[", size), GZIP),
    "gzip of nothing, many members": lambda _to, size: Body(gzip.compress(b"") * (size // 20), GZIP),
}
"""The bodies that are sent: a description, and the function that makes it."""


@contextmanager
def running(target: Target, folder: Path) -> Iterator[Server]:
    """Package the network for a server, and run the server."""
    command = [sys.executable, str(HERE / "pictures.py"), target.package, str(folder / target.package)]
    subprocess.run(command, check=True, capture_output=True, cwd=HERE.parent)
    work = folder / f"{target.server}-work"
    work.mkdir()
    recipe = import_module(f"serving.{target.server}.recipe").recipe
    request = LaunchRequest(NAME, folder / target.package / "payload", work, *free_ports(2))
    with serve(recipe(request), work) as server:
        yield server


def ask(server: Server, path: str, body: Body) -> int:
    """Send a body, and return the answer's status; 0 if the connection ends without one."""
    url = next(url for url in server.recipe.endpoints.values() if url.startswith("http://"))
    key = server.recipe.token()
    headers = {
        "Content-Type": "application/json",
        **body.headers,
        **({"Authorization": f"Bearer {key}"} if key else {}),
    }
    link = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
    try:
        link.request("POST", path, body.content, headers)
        return link.getresponse().status
    except ConnectionError:
        return 0
    finally:
        link.close()


def measure(target: Target, size: int, runs: int) -> list[dict[str, Any]]:
    """Send each body ``runs`` times to a server of its own."""
    found = []
    with tempfile.TemporaryDirectory() as folder, running(target, Path(folder)) as server:
        for what, make in BODIES.items():
            body = make(target, size)
            costs, statuses = [], set()
            for _ in range(runs):
                before = server.usage().cpu_s
                statuses.add(ask(server, target.path, body))
                costs.append((server.usage().cpu_s - before) / (len(body.content) / 1e6))
            median = statistics.median(costs)
            print(f"{target.server:15} {median:8.4f} s/MB  {sorted(statuses)}  {what}", flush=True)
            found.append({"what": what, "cpu_s_per_mb": median, "status": sorted(statuses), "bytes": len(body.content)})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", default=4, type=int, help="size of each body")
    parser.add_argument("--runs", default=3, type=int)
    chosen = parser.parse_args()
    servers = {name: measure(target, chosen.megabytes * 10**6, chosen.runs) for name, target in TARGETS.items()}
    results = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python benchmarks/bodies.py",
        "megabytes": chosen.megabytes,
        "runs": chosen.runs,
        "machine": asdict(this_machine()),
        "servers": servers,
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
