"""Read the model configuration file at intervals, and pass its models to the manager."""

from __future__ import annotations

import logging
import threading

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.settings.models import read_config
from serving.tf_serving.versions.manager import Manager

log = logging.getLogger(__name__)


class ConfigFile:
    """A watched file with a ModelServerConfig. A change that cannot be served is logged and ignored."""

    def __init__(self, manager: Manager, path: str, poll_wait_s: float) -> None:
        self._manager = manager
        self._path = path
        self._poll_wait_s = poll_wait_s
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start to watch the file, in a thread of its own."""
        threading.Thread(target=self._follow, name="model-config", daemon=True).start()

    def stop(self) -> None:
        """Stop watching the file."""
        self._stopping.set()

    def _follow(self) -> None:
        complaint = ""
        while not self._stopping.wait(self._poll_wait_s):
            try:
                # Like tensorflow/serving, also reload an unchanged file: its labels may have become assignable.
                self._manager.reload(read_config(self._path))
                complaint = ""
            except ServingError as error:
                if complaint != str(error):  # log it once, not at every read
                    complaint = str(error)
                    log.error("PollFilesystemAndReloadConfig failed: %s", error)
