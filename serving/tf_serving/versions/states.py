"""Keep the state of every version, as the status API reports it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from serving.tf_serving.base.errors import ServingError


@dataclass(frozen=True, slots=True)
class VersionState:
    """The state of a version: START, LOADING, AVAILABLE, UNLOADING or END; ``error`` is the reason of a failure."""

    version: int
    state: str
    error: ServingError | None = None


class States:
    """The last state of every version ever seen, by model. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._states: dict[str, dict[int, VersionState]] = {}

    def set(self, name: str, state: VersionState) -> None:
        """Replace the state of a version."""
        with self._changed:
            self._states.setdefault(name, {})[state.version] = state
            self._changed.notify_all()

    def of(self, name: str) -> dict[int, VersionState]:
        """Return the states of a model's versions, the newest version first."""
        with self._changed:
            states = self._states.get(name, {})
            return {version: states[version] for version in sorted(states, reverse=True)}

    def forget(self, name: str) -> None:
        """Forget all versions of a model, because it is configured again."""
        with self._changed:
            self._states.pop(name, None)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` is true; it is checked after every change, and after :meth:`stir`."""
        with self._changed:
            self._changed.wait_for(condition)

    def stir(self) -> None:
        """Make waiting threads check their conditions again."""
        with self._changed:
            self._changed.notify_all()
