"""The parts that the page stands on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import SlipwayError
from pipelines.web.asking import Outputs
from pipelines.web.events import Hub
from pipelines.web.fleet.control import Control, Starter
from pipelines.web.fleet.servers import Fleet
from pipelines.web.fleet.states import ServerState, StateWatch, cards
from pipelines.web.inputs import Given, Reader
from pipelines.web.loads import LoadDesk
from pipelines.web.referee import Referee
from pipelines.web.runtimes import Shelf
from pipelines.web.security import Keys

REFERENCE_S = 60.0


@dataclass(slots=True)
class Site:
    """Holds what the routes need. Made in any thread, used in the event loop's.

    ``links`` lead to other sites, by name.
    """

    workspace: Workspace
    reader: Reader
    fleet: Fleet
    referee: Referee
    shelf: Shelf
    starter: Starter | None = None
    links: dict[str, str] = field(default_factory=dict)
    keys: Keys = field(default_factory=Keys)
    hub: Hub = field(default_factory=Hub)
    watch: StateWatch = field(init=False)
    loads: LoadDesk = field(init=False)
    control: Control | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.watch = StateWatch(self.fleet, self.reader.spec.name, self._changed)
        self.loads = LoadDesk(self.workspace, self.reader.spec.name, self.fleet, self.hub.publish)

        if self.starter is not None:
            self.control = Control(self.fleet, self.starter, self._done, self.watch.sync)

    def _done(self, what: str) -> None:
        """Show what the page has changed."""
        self.watch.sync()
        self.loads.mark(what)
        self.hub.publish("servers", self.cards())

    def _changed(self, name: str, state: ServerState) -> None:
        version = f", version {', '.join(state.versions)}" if state.versions else ""
        self.loads.mark(f"{name} {state.state}{version}")
        self.hub.publish("servers", self.cards())

    def cards(self) -> list[dict[str, Any]]:
        """Describe the servers."""
        return cards(self.fleet, self.watch.states)

    async def known(self, given: Given) -> Outputs:
        """Return the reference's outputs. Raises SlipwayError."""
        if given.expected is not None:
            return given.expected
        try:
            return await asyncio.wait_for(asyncio.to_thread(self.referee.outputs, given.arrays), REFERENCE_S)
        except TimeoutError as error:
            raise SlipwayError(f"the reference did not answer within {REFERENCE_S:g} s") from error
