"""Keeps models served: watches their folders, loads new versions, drops old ones, and remembers each one's state.

A new version is loaded before the old one is dropped, and the old one stays if the new one fails
(tensorflow/serving's AvailabilityPreservingPolicy). A version that failed is tried again when its
files change: it may have been copied while it was looked at.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.tf_serving.config import ModelConfig
from serving.tf_serving.errors import ServingError, invalid
from serving.tf_serving.servable import Servable
from serving.tf_serving.versions import aspired, fingerprint, versions_on_disk

log = logging.getLogger(__name__)

Load = Callable[[str, int, Path], Servable]


@dataclass(frozen=True, slots=True)
class VersionState:
    """Where a version is in its life: START, LOADING, AVAILABLE, UNLOADING or END; ``error`` is why it failed."""

    version: int
    state: str
    error: ServingError | None = None


class Manager:
    """The models of one server. Thread-safe; the loading happens in one thread of its own."""

    def __init__(self, models: Sequence[ModelConfig], load: Load, poll_wait_s: float) -> None:
        self._models = tuple(models)
        self._load = load
        self._poll_wait_s = poll_wait_s
        self._lock = threading.Lock()  # of _states; _serving is replaced as a whole, never changed
        self._states: dict[str, dict[int, VersionState]] = {model.name: {} for model in self._models}
        self._serving: dict[str, dict[int, Servable]] = {model.name: {} for model in self._models}
        self._failed: dict[tuple[str, int], frozenset[tuple[str, int, int]]] = {}
        self._complaints: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model-loader", daemon=True)

    def start(self) -> None:
        """Begin to load, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Look for no more versions. A version that is being loaded is not waited for."""
        self._stopping.set()

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """The available version of a model: the one asked for, the labelled one, or the newest.

        Raises:
            ServingError: NOT_FOUND, it is not available; INVALID_ARGUMENT, no name or an unknown label.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        serving = self._serving.get(name, {})
        if label is not None:
            version = self._labelled(name, label, serving)
        if version is None:
            if not serving:
                raise ServingError("NOT_FOUND", f"Servable not found for request: Latest({name})")
            return serving[max(serving)]
        if version not in serving:
            raise ServingError("NOT_FOUND", f"Servable not found for request: Specific({name}, {version})")
        return serving[version]

    def states(self, name: str, version: int | None = None) -> list[VersionState]:
        """Every version of a model that was ever seen, the newest first, or one of them.

        Raises:
            ServingError: NOT_FOUND, there is none.
        """
        with self._lock:
            known = dict(self._states.get(name, {}))
        if version is not None:
            if version not in known:
                raise ServingError("NOT_FOUND", f"Could not find version {version} of model {name}")
            return [known[version]]
        if not known:
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        return [known[number] for number in sorted(known, reverse=True)]

    def _labelled(self, name: str, label: str, serving: dict[int, Servable]) -> int:
        for model in self._models:
            # A label is only assigned to a version that is available.
            if model.name == name and model.labels.get(label) in serving:
                return model.labels[label]
        raise invalid(f"Unrecognized servable version label: {label}")

    def _watch(self) -> None:
        while not self._stopping.is_set():
            for model in self._models:
                self._update(model)
            if not self._poll_wait_s:
                return
            self._stopping.wait(self._poll_wait_s)

    def _update(self, model: ModelConfig) -> None:
        try:
            on_disk = versions_on_disk(model.base_path)
        except OSError as error:
            self._complain(model, f"Could not find base path {model.base_path} for servable {model.name}: {error}")
            return
        wanted = aspired(on_disk, model.policy)
        if wanted:
            self._complaints.pop(model.name, None)
        else:
            self._complain(model, f"No versions of servable {model.name} found under base path {model.base_path}")
        new = {version: folder for version, folder in wanted.items() if self._is_new(model.name, version, folder)}
        for version in new:
            self._set(model.name, VersionState(version, "START"))
        for version, folder in new.items():
            if self._stopping.is_set():
                return
            self._bring_up(model.name, version, folder)
        serving = self._serving[model.name]
        if not wanted or any(version in serving for version in wanted):
            for version in sorted(set(serving) - set(wanted)):
                self._take_down(model.name, version)

    def _is_new(self, name: str, version: int, folder: Path) -> bool:
        if version in self._serving[name]:
            return False
        return self._failed.get((name, version)) != fingerprint(folder)

    def _bring_up(self, name: str, version: int, folder: Path) -> None:
        identity = f"{{name: {name} version: {version}}}"
        seen = fingerprint(folder)
        self._set(name, VersionState(version, "LOADING"))
        log.info("Loading servable version %s from %s", identity, folder)
        try:
            servable = self._load(name, version, folder)
        except ServingError as error:
            self._fail(name, version, seen, error)
        except Exception as error:  # the loader's thread must outlive whatever one model makes it raise
            log.exception("Unexpected error")
            self._fail(name, version, seen, ServingError("INTERNAL", f"{type(error).__name__}: {error}"))
        else:
            self._failed.pop((name, version), None)
            self._publish(name, {**self._serving[name], version: servable})
            self._set(name, VersionState(version, "AVAILABLE"))
            log.info("Successfully loaded servable version %s", identity)

    def _fail(self, name: str, version: int, seen: frozenset[tuple[str, int, int]], error: ServingError) -> None:
        self._failed[name, version] = seen
        self._set(name, VersionState(version, "END", error))
        log.error("Loading servable: {name: %s version: %s} failed: %s", name, version, error)

    def _take_down(self, name: str, version: int) -> None:
        self._set(name, VersionState(version, "UNLOADING"))
        # Requests that run hold the servable until they are done.
        self._publish(name, {number: kept for number, kept in self._serving[name].items() if number != version})
        gc.collect()  # a loaded model is full of reference cycles
        self._set(name, VersionState(version, "END"))
        log.info("Done unloading servable version {name: %s version: %s}", name, version)

    def _publish(self, name: str, serving: dict[int, Servable]) -> None:
        self._serving = {**self._serving, name: serving}

    def _set(self, name: str, state: VersionState) -> None:
        with self._lock:
            self._states[name][state.version] = state

    def _complain(self, model: ModelConfig, complaint: str) -> None:
        if self._complaints.get(model.name) != complaint:  # once, not at every look
            self._complaints[model.name] = complaint
            log.warning("%s", complaint)
