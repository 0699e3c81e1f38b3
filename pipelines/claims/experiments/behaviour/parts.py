"""Runs the parts of an experiment one after another in one process, so that a framework is imported once."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.base.errors import SlipwayError
from pipelines.claims.experiments.bench import Effort
from pipelines.paths import version_of

if TYPE_CHECKING:
    from pipelines.claims.experiments.bench import Workbench

BACKENDS = {Effort.TINY: "eager", Effort.QUICK: "aot_eager", Effort.FULL: "inductor"}
"""The back ends of torch.compile: all capture the same graphs; Inductor's C++ compiler takes most of the time."""
DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
_PACKAGE = re.compile(r"site-packages/([^/]+)")


def run_parts(parts: Mapping[str, Callable[[], Any]], framework: str) -> dict[str, Any]:
    """Run every part: {name: {"value": plain JSON, "warnings": deprecations met}}.

    A part that fails is {"error": text}: it costs the claims that use it, not those of the other parts. A warning
    that does not say which package it is from counts as one of ``framework``.
    """
    found: dict[str, Any] = {}
    for name, part in parts.items():
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always")
            try:
                found[name] = {"value": part()}
            except Exception as error:  # noqa: BLE001 - becomes the reason why a claim is undecided: see value_of
                found[name] = {"error": f"{type(error).__name__}: {error}"}
        found[name]["warnings"] = sorted({text for one in met if (text := _deprecation(one, framework))})
    return found


def _deprecation(met: warnings.WarningMessage, framework: str) -> str | None:
    if not issubclass(met.category, DEPRECATIONS):
        return None
    package = _PACKAGE.search(met.filename)
    name = package[1] if package and version_of(package[1]) else framework
    return f"{name} {version_of(name)}: {' '.join(str(met.message).split())}"


def value_of(bench: Workbench, experiment: str, part: str) -> Any:
    """Return what a part of a shared experiment gave. Raises SlipwayError with the reason if it failed."""
    found = bench.shared(experiment)[part]
    if "error" in found:
        raise SlipwayError(f"{part} in {experiment}: {found['error']}")
    return found["value"]


def warnings_of(bench: Workbench, parts: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the deprecations that (experiment, part) met, each once."""
    return tuple(sorted({text for experiment, part in parts for text in bench.shared(experiment)[part]["warnings"]}))
