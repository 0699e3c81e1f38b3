"""Takes model files that nobody here wrote through every path; writes results/own_models.json.

    python benchmarks/own_models/run.py [--file NAME ...] [--path PATH ...] [--workspace FOLDER]

The files are made by the frameworks in processes of their own. Each is packaged and verified by ``slipway package
FILE``: the table says, for each path, how near its default variant is to the file's own runtime, or why there is none.
Each file's result is written as it is found, beside what the results hold of other files and paths.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.base.environments import Environment, kept_here, make
from pipelines.fairness.hardware import this_machine
from pipelines.paths import PATHS, path_module, version_of

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "own_models.json"
MAKERS = ("made_by_keras.py", "made_by_torch.py", "made_by_others.py")
LIBRARIES = Environment("own_models", ("transformers==5.24.0", "skl2onnx==1.20.0", "tf-keras==2.21.0"))
"""Holds the libraries that the files are made with besides slipway's own."""
KINDS = {".keras": "keras", ".pt2": "pt2", "": "saved_model", ".onnx": "onnx"}
SHOWN = ("keras", "tensorflow", "torch", "onnxruntime", "openvino", "executorch", "tf2onnx")
PLACE = re.compile(r"/[^\s\"]*/payload/")
"""Where an artifact lies, in a reason: the tables say nothing of the machine's folders."""
SLIPWAY = [sys.executable, "-m", "pipelines"]


def slipway(*words: str) -> dict[str, Any]:
    """Runs a command with --json; a row that failed is no failure of the command."""
    done = subprocess.run([*SLIPWAY, *words, "--json"], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(f"slipway {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    found: dict[str, Any] = json.loads(PLACE.sub("", done.stdout))
    return found


def cell(row: dict[str, Any]) -> dict[str, Any]:
    """Returns what the table shows of one artifact."""
    certificate, reason = row["certificate"], row["reason"]
    return {
        "status": row["status"],
        "form": row["form"],
        "tries": [one["form"] for one in row["tries"]],
        "max_abs": certificate and certificate["max_abs"],
        "sqnr_db": certificate and certificate["sqnr_db"],
        "reason": reason and reason.splitlines()[0][:300],
    }


def name_of(file: Path) -> str:
    """Returns the name of a model: the file's, with its kind."""
    return f"{file.stem.removesuffix('_saved')}-{KINDS[file.suffix]}"


def of_file(file: Path, paths: list[str], workspace: Path) -> dict[str, Any]:
    """Takes one file through the default variants of paths."""
    begin = time.monotonic()
    defaults = [f"{path}:{next(iter(path_module(path).CARD.variants))}" for path in paths]
    spec = file.with_suffix(".toml")
    said = ["--spec", str(spec)] if spec.exists() else []
    packaged = slipway("--workspace", str(workspace), "package", str(file), *defaults, "--name", name_of(file), *said)
    cells = {f"{row['path']}": cell(row) for row in packaged.get("artifacts", [])}
    return {
        "name": name_of(file),
        "kind": KINDS[file.suffix],
        "refused": packaged["error"].replace(f"{file.parent}/", "") if "error" in packaged else None,
        "took_s": time.monotonic() - begin,
        "paths": cells,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", nargs="+", help="only these, by their names in the table")
    parser.add_argument("--path", nargs="+", choices=PATHS, default=[*PATHS], help="only these")
    parser.add_argument("--workspace", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, workspace = Path(scratch, "files"), chosen.workspace or Path(scratch, "workspace")
        folder.mkdir()
        env = {**os.environ, "PYTHONPATH": str(make(LIBRARIES, kept_here()))}
        for maker in MAKERS:
            subprocess.run([sys.executable, str(HERE / maker), str(folder)], check=True, env=env)
        files = [
            file
            for file in sorted(folder.iterdir())
            if file.suffix in KINDS and (not chosen.file or name_of(file) in chosen.file)
        ]
        for number, file in enumerate(files, start=1):
            print(f"{number} of {len(files)}: {file.name}", file=sys.stderr, flush=True)
            write(of_file(file, chosen.path, workspace.resolve()))
    print(RESULTS)


def write(found: dict[str, Any]) -> None:
    """Writes the results with what was found of one file, beside what they hold of others and of its other paths."""
    known = {one["name"]: one for one in json.loads(RESULTS.read_text())["files"]} if RESULTS.exists() else {}
    old = known.get(found["name"], {}).get("paths", {})
    if found["refused"] is None:
        found["paths"] = {path: cell for path in PATHS if (cell := found["paths"].get(path) or old.get(path))}
    written = {
        "command": "python benchmarks/own_models/run.py",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "versions": {name: version_of(name) for name in SHOWN},
        "files": [one for _, one in sorted((known | {found["name"]: found}).items())],
    }
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
