"""Changes the release of a running TorchServe: the new one is loaded beside the old one, and takes over when it is.

A release's number is the model's version in TorchServe. TorchServe takes that from the archive, so each release is
copied into TorchServe's own store with its number in it.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.parse
import zipfile
from dataclasses import dataclass
from pathlib import Path

from serving.container.releases import CannotSwitch
from serving.torchserve.state import LOOPBACK, key, manage, workers

MANIFEST = "MAR-INF/MANIFEST.json"
POLL_S = 0.2
DRAIN_S = 120.0
CHANGE_S = 120.0
"""For TorchServe to unpack an archive, or to end a worker: seconds, on a busy machine tens of them."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of one model in one TorchServe. ``store`` is the folder that it takes archives from."""

    model: str
    store: Path
    workdir: Path
    rest_port: int
    management_port: int

    def add(self, release: Path, number: int) -> Path:
        """Copy the archive of a release into the store, as version ``number``.

        Raises OSError, zipfile.BadZipFile or ValueError for one that cannot be read.
        """
        self.store.mkdir(exist_ok=True)
        made = self._archive(number)
        with zipfile.ZipFile(release / "model-store" / f"{self.model}.mar") as old, zipfile.ZipFile(made, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == MANIFEST:
                    manifest = json.loads(content)
                    manifest["model"]["modelVersion"] = str(number)
                    content = json.dumps(manifest).encode()
                new.writestr(name, content)
        return made

    def replace(self, number: int, release: Path) -> None:
        """Make a release the version that answers from now on.

        Raises CannotSwitch, with the one before still answering; OSError if TorchServe does not answer.
        """
        try:
            archive = self.add(release, number)
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise CannotSwitch(f"{release} cannot be read: {error}") from error
        self._manage("DELETE", f"/{self.model}/{number}")  # of an attempt that was cut off
        # Asked to wait for the worker, TorchServe would leave clients waiting too.
        asked = {"url": archive.name, "model_name": self.model, "initial_workers": 1, "synchronous": "false"}
        status, said = self._manage("POST", f"?{urllib.parse.urlencode(asked)}")
        if status >= http.HTTPStatus.BAD_REQUEST or not self._loads(number):
            self._remove(number)
            raise CannotSwitch(f"{release} cannot be loaded, the workers say why above. TorchServe: {said.strip()}")
        self._manage("PUT", f"/{self.model}/{number}/set-default")

    def retire(self, old: int) -> None:
        """Remove a version that is not the default any more, when its last request is answered. Raises OSError."""
        # The only worker of a version answers in the order of the requests: ours is behind those of all clients. A
        # request that was being read when the default changed is before the second one.
        for _ in range(2):
            link = http.client.HTTPConnection(LOOPBACK, self.rest_port, timeout=DRAIN_S)
            try:
                headers = {"Authorization": f"Bearer {key(self.workdir, 'inference')}"}
                link.request("POST", f"/predictions/{self.model}/{old}", b"", headers)
                link.getresponse().read()
            except http.client.HTTPException as error:
                raise OSError(f"TorchServe's inference API: {error}") from error
            finally:
                link.close()
        self._remove(old)

    def _loads(self, number: int) -> bool:
        """Wait until a worker has loaded a version; False if the first one died instead."""
        seen: set[int] = set()
        pause = threading.Event()
        while len(seen) < 2:
            known = workers(self.model, self.management_port, self.workdir, number)
            if any(worker["status"] == "READY" for worker in known):
                return True
            seen |= {worker["pid"] for worker in known if worker["pid"] > 0}
            pause.wait(POLL_S)
        return False

    def _remove(self, number: int) -> None:
        self._manage("DELETE", f"/{self.model}/{number}")
        self._archive(number).unlink(missing_ok=True)

    def _manage(self, method: str, rest: str) -> tuple[int, str]:
        return manage(method, f"/models{rest}", self.management_port, self.workdir, CHANGE_S)

    def _archive(self, number: int) -> Path:
        return self.store / f"{number}.mar"
