"""Reads the model configuration file again and again, and has the manager follow it."""

from __future__ import annotations

import logging
import threading

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.settings.models import read_config
from serving.tf_serving.versions.manager import Manager

log = logging.getLogger(__name__)


class ConfigFile:
    """Follows a file with a ModelServerConfig. A change that cannot be served is logged, and changes nothing."""

    def __init__(self, manager: Manager, path: str, poll_wait_s: float) -> None:
        self._manager = manager
        self._path = path
        self._poll_wait_s = poll_wait_s
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to follow the file, in a thread of its own."""
        threading.Thread(target=self._follow, name="model-config", daemon=True).start()

    def stop(self) -> None:
        """Follow it no more."""
        self._stopping.set()

    def _follow(self) -> None:
        complaint = ""
        while not self._stopping.wait(self._poll_wait_s):
            try:
                # As tensorflow/serving, also when it has not changed: its labels may have become assignable.
                self._manager.reload(read_config(self._path))
                complaint = ""
            except ServingError as error:
                if complaint != str(error):  # once, not at every reading
                    complaint = str(error)
                    log.error("PollFilesystemAndReloadConfig failed: %s", error)
