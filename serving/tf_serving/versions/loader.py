"""Load and unload versions, and retry versions that failed to load.

As in tensorflow/serving, a failed version is retried a limited number of times, with a pause between. It is also
retried at once when its files change, because it may have been read while it was still being copied.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.tf_serving.base import metrics
from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.runtime.servable import Servable
from serving.tf_serving.settings.models import ModelConfig
from serving.tf_serving.versions.confine import check_inside
from serving.tf_serving.versions.on_disk import Fingerprint, fingerprint
from serving.tf_serving.versions.states import States, VersionState

log = logging.getLogger(__name__)

Load = Callable[[str, int, Path], Servable]
Serving = Mapping[str, Mapping[int, Servable]]


@dataclass(frozen=True, slots=True)
class Retries:
    """The number of retries of a failed version, and the seconds between them."""

    count: int = 5
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _Failure:
    files: Fingerprint
    tries: int
    retry_at: float  # on the monotonic clock; infinity after the last retry


class Loader:
    """The versions that are served. Only :attr:`serving` may be used by several threads."""

    def __init__(self, load: Load, states: States, retries: Retries) -> None:
        self._load = load
        self._states = states
        self._retries = retries
        self._wanted: dict[str, Mapping[int, Path]] = {}
        self._failures: dict[tuple[str, int], _Failure] = {}
        self.serving: Serving = {}  # always replaced, never modified

    def want(self, model: ModelConfig, versions: Mapping[int, Path]) -> None:
        """Set the versions of a model to serve, the newest first."""
        self._wanted[model.name] = versions

    def next_retry(self) -> float:
        """Return the time of the next retry on the monotonic clock; infinity if there is none."""
        return min((failure.retry_at for failure in self._failures.values()), default=float("inf"))

    def bring_about(self, model: ModelConfig, is_stopping: Callable[[], bool]) -> None:
        """Load the wanted versions of a model that are not served yet, then unload those not wanted."""
        wanted = self._wanted.get(model.name)
        if wanted is None:
            return  # its folder has never been read
        for key in [key for key in self._failures if key[0] == model.name and key[1] not in wanted]:
            self._give_up(key)
        new = {version: folder for version, folder in wanted.items() if self._is_due(model.name, version, folder)}
        for version in new:
            if (model.name, version) not in self._failures:
                self._states.set(model.name, VersionState(version, "START"))
        for version, folder in new.items():
            if is_stopping():
                return
            self._bring_up(model, version, folder)
        serving = self.serving.get(model.name, {})
        if not wanted or any(version in serving for version in wanted):
            for version in sorted(set(serving) - set(wanted)):
                self._take_down(model.name, version)

    def drop_all_but(self, names: set[str]) -> None:
        """Unload every model whose name is not in ``names``."""
        for name in set(self._wanted) - names:
            del self._wanted[name]
            for version in sorted(self.serving.get(name, {})):
                self._take_down(name, version)
            for key in [key for key in self._failures if key[0] == name]:
                self._give_up(key)

    def _is_due(self, name: str, version: int, folder: Path) -> bool:
        if version in self.serving.get(name, {}):
            return False
        failure = self._failures.get((name, version))
        return failure is None or time.monotonic() >= failure.retry_at or failure.files != fingerprint(folder)

    def _bring_up(self, model: ModelConfig, version: int, folder: Path) -> None:
        name = model.name
        files = fingerprint(folder)
        self._states.set(name, VersionState(version, "LOADING"))
        log.info("Loading servable version {name: %s version: %s} from %s", name, version, folder)
        try:
            check_inside(model.base_path, folder)
            servable = self._load(name, version, folder)
        except ServingError as error:
            self._fail(name, version, folder, files, error)
        except Exception as error:  # a model's exception must not end the loader's thread
            log.exception("Unexpected error")
            self._fail(name, version, folder, files, ServingError("INTERNAL", f"{type(error).__name__}: {error}"))
        else:
            self._failures.pop((name, version), None)
            self._publish(name, {**self.serving.get(name, {}), version: servable})
            self._states.set(name, VersionState(version, "AVAILABLE"))
            metrics.LOADS.add(str(folder), "success")
            log.info("Successfully loaded servable version {name: %s version: %s}", name, version)

    def _fail(self, name: str, version: int, folder: Path, files: Fingerprint, error: ServingError) -> None:
        before = self._failures.get((name, version))
        tries = before.tries + 1 if before and before.files == files else 1
        is_last = tries > self._retries.count
        retry_at = float("inf") if is_last else time.monotonic() + self._retries.interval_s
        self._failures[name, version] = _Failure(files, tries, retry_at)
        if is_last:
            self._states.set(name, VersionState(version, "END", error))
        metrics.LOADS.add(str(folder), "fail")
        log.error(
            "Loading servable: {name: %s version: %s} failed: %s. It is retried when its files change, and "
            "replaced by a complete version with a larger number",
            name,
            version,
            error,
        )

    def _give_up(self, key: tuple[str, int]) -> None:
        failure = self._failures.pop(key)
        if failure.retry_at != float("inf"):  # its state is not END yet
            error = ServingError("CANCELLED", "the version was removed before it could be loaded")
            self._states.set(key[0], VersionState(key[1], "END", error))

    def _take_down(self, name: str, version: int) -> None:
        self._states.set(name, VersionState(version, "UNLOADING"))
        # Running requests keep the servable alive until they end.
        self._publish(name, {number: kept for number, kept in self.serving[name].items() if number != version})
        gc.collect()  # a loaded model is full of reference cycles
        self._states.set(name, VersionState(version, "END"))
        log.info("Done unloading servable version {name: %s version: %s}", name, version)

    def _publish(self, name: str, serving: Mapping[int, Servable]) -> None:
        self.serving = {**self.serving, name: serving}
