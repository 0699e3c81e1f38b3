"""Write the models that the cases need, and the configuration files of a server for them."""

from __future__ import annotations

import shutil
from pathlib import Path

from serving.conformance.echo import write_counter, write_echo, write_empty, write_slow
from serving.conformance.half_plus import write_tf1, write_tf2

LABEL = "MODEL_LABEL"
ODD_NAME = "modelname!#$%&'()*+,/:;=?@[]"
BASE_PATHS = {
    "half_plus_two": "half_plus_two",
    "half_plus_two_tf1": "half_plus_two_tf1",
    "half_plus_two_2_versions": "half_plus_two_2_versions",
    "half_plus_three": "half_plus_three",
    "counter": "counter",
    "echo": "echo",
    "empty": "empty",
    "slow": "slow",
    ODD_NAME: "half_plus_two",
}
"""The folder with the versions of each model, relative to the written folder."""

BAD = "bad_half_plus_two"
"""A model that cannot be loaded. No configuration contains it, because TF Serving does not start with it."""

MODELS_FILE, MONITORING_FILE = "models.config", "monitoring.config"
MONITORING = "prometheus_config { enable: true }\n"


def write_models(folder: Path, base: Path | None = None) -> None:
    """Write all models and both files; ``base`` is the folder's path on the server, if it differs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tf2(folder / "half_plus_two/00000123")
    write_tf1(folder / "half_plus_two_tf1/00000123")
    for version in ("00000123", "00000124"):
        shutil.copytree(folder / "half_plus_two/00000123", folder / "half_plus_two_2_versions" / version)
    write_tf2(folder / "half_plus_three/00000123", plus=3.0)
    write_counter(folder / "counter/1")
    write_echo(folder / "echo/1")
    write_empty(folder / "empty/1")
    write_slow(folder / "slow/1")
    shutil.copytree(folder / "half_plus_two/00000123", folder / BAD / "00000123")
    graph = folder / BAD / "00000123/saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:100])
    (folder / MODELS_FILE).write_text(models_config(base or folder.absolute()))
    (folder / MONITORING_FILE).write_text(MONITORING)


def models_config(base: Path, more: str = "") -> str:
    """Write the ModelServerConfig of every model under ``base``, in text format; ``more`` are further entries."""
    entries = [
        f'  config {{ name: "{name}" base_path: "{base / path}" model_platform: "tensorflow" '
        f"model_version_policy {{ all {{}} }}{_labels(name)} }}\n"
        for name, path in BASE_PATHS.items()
    ]
    return f"model_config_list {{\n{''.join(entries)}{more}}}\n"


def _labels(name: str) -> str:
    label = {"half_plus_two": LABEL, ODD_NAME: ODD_NAME}.get(name)
    return f' version_labels {{ key: "{label}" value: 123 }}' if label else ""
