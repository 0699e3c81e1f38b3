"""Starts the servers, then the page, and ends all of them together."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType

import uvicorn

from models.model import KeptModel
from pipelines.artifacts.named import title_of
from pipelines.artifacts.workspace import Workspace
from pipelines.base.errors import UserError
from pipelines.base.files import scratch
from pipelines.base.progress import Steps
from pipelines.measure.server import server_module, started
from pipelines.paths import PATHS
from pipelines.paths.choose import Choice, choose_one
from pipelines.results import IN_BROWSER
from pipelines.run.addresses import artifact_in, model_in, parse
from pipelines.run.making import ready_artifact
from pipelines.run.prepare import ensure_trained, open_context
from pipelines.web.app import make_app
from pipelines.web.asking import import_clients
from pipelines.web.fleet.control import Starter
from pipelines.web.fleet.servers import Fleet, elsewhere, ours
from pipelines.web.inputs import Reader
from pipelines.web.referee import Referee
from pipelines.web.runtimes import BrowserModel, Shelf, browser_model
from pipelines.web.site import Site
from serving.launch import check_port

GRACE_S = 2
"""Seconds that an answer under way gets when the page ends."""


def chosen(workspace: Workspace, model: str, words: Sequence[str], at: Sequence[str]) -> list[Choice]:
    """Return the paths to serve: those that the words name, or without words and addresses what is packaged.

    Of what is packaged, each server program gets one: the first path's default variant; and each path in a browser.
    Raises UserError.
    """
    if words:
        return [choose_one(word) for word in words]
    found: dict[str, Choice] = {}
    for choice in map(choose_one, PATHS):
        program = choice.card.name if choice.card.where == IN_BROWSER else None if at else choice.card.server
        if program and workspace.artifact(model, choice.card.name, choice.variant).exists():
            found.setdefault(program, choice)
    if not at and not any(choice.card.server for choice in found.values()):
        raise UserError(
            f"nothing of {model} that a server serves is packaged. Name what to package and to serve: "
            f"slipway web {model} --serve onnxruntime, or servers that run: --at PATH=URL"
        )
    return list(found.values())


@contextmanager
def opened(
    workspace: Workspace,
    model: str,
    choices: Sequence[Choice],
    at: Sequence[str],
    threads: int,
    control: bool = False,
    links: dict[str, str] | None = None,
) -> Iterator[Site]:
    """Start the reference and the servers, and yield what the page stands on; end all of them with the block.

    ``control``: the page may kill, add and change the servers that were started for it. ``links`` lead to other sites.

    Raises UserError, SlipwayError or LaunchError.
    """
    deployed = parse(at)
    in_browser = [choice for choice in choices if choice.card.where == IN_BROWSER]
    served = [choice for choice in choices if choice not in in_browser]
    for choice in served:
        server_module(choice.card, None)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch("web"))
        fleet = Fleet([])
        for one in deployed:
            fleet.add(elsewhere(workspace, model, one, fleet.free_name(one.choice.name)))
        shelf: list[BrowserModel] = []
        with Steps() as steps:
            loaded = model_in(workspace, model)[0] if deployed and not served else _trained(workspace, model, steps)
            referee = Referee(loaded.folder, folder / "reference.log")
            stack.callback(referee.stop)
            for number, choice in enumerate(served):
                workdir = folder / f"server-{number}"
                workdir.mkdir()
                with steps.step(f"package, verify and serve {choice.name}") as step:
                    context = open_context(workspace, model, "web")
                    _, artifact = ready_artifact(context, model, choice, step.say)
                    running = stack.enter_context(started(choice.card, artifact, workdir, threads=threads))
                fleet.add(ours(choice, artifact, running, workdir, fleet.free_name(choice.name)))
            for choice in in_browser:
                with steps.step(f"package and verify {choice.name}") as step:
                    if deployed:  # the workspace is only read
                        artifact, _ = artifact_in(workspace, model, choice)
                    else:
                        _, artifact = ready_artifact(open_context(workspace, model, "web"), model, choice, step.say)
                shelf.append(browser_model(choice, artifact))
        import_clients(fleet)
        starter = None
        if control:
            starter = Starter(workspace, model, folder, threads)
            stack.callback(starter.close)
        yield Site(workspace, Reader(loaded), fleet, referee, Shelf(shelf), starter, links or {})


def _trained(workspace: Workspace, model: str, steps: Steps) -> KeptModel:
    with steps.step(title_of(model)) as step:
        loaded, training = ensure_trained(open_context(workspace, model, "web"), model, tell=step.say)
        step.end("cached" if training.cached else "ok")
    return loaded


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to a port of a host's address, 0 for a free one. Raises PortInUse or UserError."""
    if port:
        check_port(host, port)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listening


class PageServer(uvicorn.Server):
    """Uvicorn; when it is told to end, streams of events end, and what others wait for: a load test, the reference."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self._site = site

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._site.hub.close()
        self._site.loads.stop()
        self._site.referee.kill()
        super().handle_exit(sig, frame)


def run(site: Site, listening: socket.socket) -> None:
    """Serve the page until SIGINT or SIGTERM, which is raised again when the page has ended."""
    config = uvicorn.Config(
        make_app(site, listening.getsockname()[1]),
        access_log=False,  # addresses hold the token
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        ws="none",
    )
    PageServer(config, site).run([listening])
