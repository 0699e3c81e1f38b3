"""Takes model files that nobody here wrote through every path; writes results/own_models.json.

    python benchmarks/own_models/run.py [--model NAME ...] [--workspace FOLDER]

The files are made by the frameworks in processes of their own. Each is inspected, then packaged and verified by
``slipway package FILE``: the table says, for each path, how near its default variant is to the file's own runtime, or
why there is none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.fairness.hardware import this_machine
from pipelines.paths import PATHS, path_module, version_of

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "own_models.json"
MAKERS = ("made_by_keras.py", "made_by_torch.py")
KINDS = {".keras": "keras", ".pt2": "pt2", "": "saved_model", ".onnx": "onnx"}
SHOWN = ("keras", "tensorflow", "torch", "onnxruntime", "openvino", "executorch", "tf2onnx")
SLIPWAY = [sys.executable, "-m", "pipelines"]


def slipway(*words: str) -> dict[str, Any]:
    """Runs a command with --json; a row that failed is no failure of the command."""
    done = subprocess.run([*SLIPWAY, *words, "--json"], capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        raise SystemExit(f"slipway {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cell(row: dict[str, Any]) -> dict[str, Any]:
    """Returns what the table shows of one artifact."""
    certificate, reason = row["certificate"], row["reason"]
    return {
        "status": row["status"],
        "max_abs": certificate and certificate["max_abs"],
        "sqnr_db": certificate and certificate["sqnr_db"],
        "reason": reason and reason.splitlines()[0][:300],
    }


def of_file(file: Path, workspace: Path) -> dict[str, Any]:
    """Inspects one file, and takes it through every path's default variant."""
    begin = time.monotonic()
    defaults = [f"{path}:{next(iter(path_module(path).CARD.variants))}" for path in PATHS]
    name = f"{file.stem}-{KINDS[file.suffix]}".replace("_saved-", "-")
    packaged = slipway("--workspace", str(workspace), "package", str(file), *defaults, "--name", name)
    cells = {f"{row['path']}": cell(row) for row in packaged.get("artifacts", [])}
    return {
        "name": name,
        "kind": KINDS[file.suffix],
        "refused": packaged.get("error"),
        "took_s": time.monotonic() - begin,
        "paths": cells,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", help="only files with these stems")
    parser.add_argument("--workspace", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, workspace = Path(scratch, "files"), chosen.workspace or Path(scratch, "workspace")
        folder.mkdir()
        for maker in MAKERS:
            subprocess.run([sys.executable, str(HERE / maker), str(folder)], check=True)
        files = [file for file in sorted(folder.iterdir()) if not chosen.model or file.stem in chosen.model]
        found = []
        for number, file in enumerate(files, start=1):
            print(f"{number} of {len(files)}: {file.name}", file=sys.stderr, flush=True)
            found.append(of_file(file, workspace.resolve()))
    known = json.loads(RESULTS.read_text())["files"] if RESULTS.exists() and chosen.model else []
    names = {one["name"] for one in found}
    written = {
        "command": "python benchmarks/own_models/run.py",
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(this_machine()),
        "versions": {name: version_of(name) for name in SHOWN},
        "files": sorted([*(one for one in known if one["name"] not in names), *found], key=lambda one: one["name"]),
    }
    RESULTS.write_text(json.dumps(written, indent=2) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    main()
