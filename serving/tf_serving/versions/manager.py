"""Manage the served models: a thread loads and unloads versions until they match the configuration.

The rules are those of tensorflow/serving: server_core.cc for labels and changed configurations, and
core/availability_preserving_policy.h for versions: a new version is loaded before the old one is unloaded,
and the old one stays if the new one fails.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field

from serving.tf_serving.base import metrics
from serving.tf_serving.base.errors import ServingError, invalid
from serving.tf_serving.runtime.servable import Servable
from serving.tf_serving.settings.models import ModelConfig, Models, validated
from serving.tf_serving.versions.labels import LabelRules, assign
from serving.tf_serving.versions.loader import Load, Loader, Retries
from serving.tf_serving.versions.on_disk import aspired, versions_on_disk
from serving.tf_serving.versions.states import States, VersionState

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VersionRules:
    """The rules of a manager: ``poll_wait_s`` is the pause between two searches for versions, 0 to search once."""

    poll_wait_s: float = 1.0
    retries: Retries = field(default_factory=Retries)
    labels: LabelRules = field(default_factory=LabelRules)


class Manager:
    """The models of one server. Thread-safe; a separate thread loads them."""

    def __init__(self, models: Models | None, load: Load, rules: VersionRules) -> None:
        """Check the models without loading any. Raises ServingError: FAILED_PRECONDITION, a label is not allowed."""
        self._rules = rules
        self._states = States()
        self._loader = Loader(load, self._states, rules.retries)
        self._is_configured = models is not None
        self._models: Models = validated(models or ())
        metrics.know(model.name for model in self._models)
        self._labels = assign(self._models, {}, self._is_available, rules.labels)
        self._configuring = threading.Lock()
        self._done: Models = ()  # the last configuration that was fully applied
        self._complaints: dict[str, str] = {}
        self._wake = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._watch, name="model-loader", daemon=True)

    def start(self) -> None:
        """Start to load in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop searching for versions, without waiting for a version that is loading."""
        self._is_stopping = True
        self._wake.set()
        self._states.stir()

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """Return an available version of a model: the one with this number or label, or the newest.

        Raises:
            ServingError: NOT_FOUND, it is not available; INVALID_ARGUMENT, no name or an unknown label.
        """
        if not name:
            raise invalid("ModelSpec has no name specified.")
        if label is not None:
            try:
                version = self._labels[name][label]
            except KeyError:
                raise invalid(f"Unrecognized servable version label: {label}") from None
        serving = self._loader.serving.get(name, {})
        if version is None:
            if not serving:
                raise ServingError("NOT_FOUND", f"Servable not found for request: Latest({name})")
            return serving[max(serving)]
        if version not in serving:
            raise ServingError("NOT_FOUND", f"Servable not found for request: Specific({name}, {version})")
        return serving[version]

    def states(self, name: str, version: int | None = None) -> list[VersionState]:
        """Return the states of all versions ever seen of a model, the newest first, or of one version.

        Raises:
            ServingError: NOT_FOUND, there is none.
        """
        known = self._states.of(name)
        if version is not None:
            if version not in known:
                raise ServingError("NOT_FOUND", f"Could not find version {version} of model {name}")
            return [known[version]]
        if not known:
            raise ServingError("NOT_FOUND", f"Could not find any versions of model {name}")
        return list(known.values())

    def reload(self, models: Models | None) -> None:
        """Serve only ``models`` from now on; returns when the new ones are available.

        Raises:
            ServingError: the configuration is not allowed to replace the present one, which then stays; or
                UNKNOWN, a new model did not become available.
        """
        with self._configuring:
            if models is None:
                if self._is_configured:
                    raise ServingError(
                        "FAILED_PRECONDITION",
                        "Cannot transition to requested config. It is only legal to transition "
                        "from one ModelConfigList to another.",
                    )
                log.info("Taking no action for empty config.")
                return
            validated(models, self._models)
            labels = assign(models, self._labels, self._is_available, self._rules.labels)
            present = {model.name for model in self._models}
            new = [model for model in models if model.name not in present]
            for model in new:
                if not self._loader.serving.get(model.name):
                    self._states.forget(model.name)
            metrics.know(model.name for model in new)
            self._labels, self._models, self._is_configured = labels, models, True
            self._wake.set()
            self._states.wait(lambda: self._is_stopping or self._is_settled(models, new))
            _check_available([(model.name, self._states.of(model.name)) for model in new])

    def _is_available(self, name: str, version: int) -> bool:
        return version in self._loader.serving.get(name, {})

    def _is_settled(self, models: Models, new: list[ModelConfig]) -> bool:
        states = [state.state for model in new for state in self._states.of(model.name).values()]
        return self._done is models and set(states) <= {"AVAILABLE", "END"}

    def _watch(self) -> None:
        next_look = 0.0
        while not self._is_stopping:
            is_changed = self._wake.is_set()
            self._wake.clear()  # before reading the models, so that a later change wakes this thread again
            models = self._models
            is_due = is_changed or time.monotonic() >= next_look
            if is_due:
                next_look = time.monotonic() + (self._rules.poll_wait_s or float("inf"))
            for model in models:
                if self._is_stopping:
                    return
                self._update(model, is_due)
            self._loader.drop_all_but({model.name for model in models})
            self._done = models
            self._states.stir()
            until = min(next_look, self._loader.next_retry())
            self._wake.wait(min(max(0.0, until - time.monotonic()), threading.TIMEOUT_MAX))

    def _update(self, model: ModelConfig, look: bool) -> None:
        if look:
            try:
                on_disk = versions_on_disk(model.base_path)
            except OSError as error:
                self._complain(model, f"Could not find base path {model.base_path} for servable {model.name}: {error}")
                return
            wanted = aspired(on_disk, model.policy)
            self._loader.want(model, wanted)
            if wanted:
                self._complaints.pop(model.name, None)
            else:
                self._complain(model, f"No versions of servable {model.name} found under base path {model.base_path}")
        self._loader.bring_about(model, lambda: self._is_stopping)

    def _complain(self, model: ModelConfig, complaint: str) -> None:
        if self._complaints.get(model.name) != complaint:  # log it once, not at every search
            self._complaints[model.name] = complaint
            log.warning("%s. Put a version there: %s/1/saved_model.pb", complaint, model.base_path)


def _check_available(new: list[tuple[str, dict[int, VersionState]]]) -> None:
    """Check that all new models became available; else raise ServingError."""
    failed = []
    for name, states in new:
        if any(state.state == "AVAILABLE" for state in states.values()):
            continue
        newest = next(iter(states.values()), None)
        identity = f"{{name: {name} version: {newest.version}}}" if newest else f"{{name: {name}}}"
        why = f" due to error: {newest.error}" if newest and newest.error else ""
        failed.append(f"{{{identity}{why}}}, ")
    if failed:
        raise ServingError("UNKNOWN", f"{len(failed)} model(s) did not become available: {{{''.join(failed)}}}")
