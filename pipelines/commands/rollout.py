"""``slipway rollout``: pins a release, and waits until the servers serve it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import click

from pipelines.base.errors import SlipwayError, UserError
from pipelines.commands.base import command, emit, running_servers

POLL_S = 0.1
ANSWER_S = 5.0


@command("rollout", "rollout torchserve", "rollout onnxruntime --to 1")
@click.argument("paths", nargs=-1, metavar="[PATH[:VARIANT]]...")
@click.option("--model", default="mnist_cnn", envvar="SLIPWAY_MODEL", show_default=True)
@click.option("--to", "number", type=click.IntRange(1), metavar="N", help="The release to serve (default: the newest).")
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(1),
    default=600,
    show_default=True,
    metavar="S",
    help="Seconds until servers that do not change are an error; the release before is pinned again then.",
)
@running_servers
def rollout_command(
    workspace: Any,
    paths: tuple[str, ...],
    model: str,
    number: int | None,
    wait_s: int,
    at: tuple[str, ...],
    as_json: bool,
) -> None:
    """Have the servers of the named paths, or of all, serve another release, one replica after the other.

    `slipway package --release` makes releases. Each server loads the release beside the one it serves, and answers
    from it when it is loaded. An older number is the way back. TensorFlow Serving is asked what it serves where
    --at says where it is.
    """
    from pipelines.artifacts.named import spec_named
    from pipelines.artifacts.release import releases
    from pipelines.base.progress import Steps
    from pipelines.paths.choose import choose
    from pipelines.run.addresses import parse

    spec_named(workspace, model)
    bases = {
        choice.name: base
        for choice in choose(paths)
        if (base := workspace.releases(model, choice.card.name, choice.variant)).is_dir()
    }
    if not bases:
        raise UserError(f"there are no releases. Make one: slipway package {' '.join((model, *paths))} --release")
    known = {name: [int(release.name) for release in releases(base)] for name, base in bases.items()}
    for name, numbers in known.items():
        if number is not None and number not in numbers:
            raise UserError(f"the releases of {name} are {', '.join(map(str, numbers))}. Received: --to {number}")
    urls = {server.choice.name: server.urls.get("tf-serving-rest") for server in parse(at)}
    served = {name: _serves(base, model, known[name], urls.get(name)) for name, base in bases.items()}
    for ask in served.values():
        ask()  # an address that is wrong is said before a release is pinned
    rolled = []
    with Steps() as steps:
        for name, base in bases.items():
            to = number or known[name][-1]
            with steps.step(f"change servers of {name} to release {to}"):
                rolled.append(_roll(name, base, model, to, wait_s, served[name]))

    def text() -> None:
        for one in rolled:
            click.echo(f"{one['name']}  release {one['release']}, before it {one['before'] or 'none'}")

    emit(rolled, as_json, text)


def _serves(base: Any, model: str, known: Iterable[int], url: str | None) -> Callable[[], set[int]]:
    """Return what tells which releases are served: the locks of our servers, or TensorFlow Serving at ``url``."""
    from serving.container.releases import is_held

    def held() -> set[int]:
        return {number for number in known if is_held(base / str(number))}

    if url is None:
        return held
    address = urlsplit(url).netloc

    def available() -> set[int]:
        connection = http.client.HTTPConnection(address, timeout=ANSWER_S)
        try:
            connection.request("GET", f"/v1/models/{model}")
            answer = connection.getresponse()
            states = json.load(answer).get("model_version_status", [])
            return {int(state["version"]) for state in states if state["state"] != "END"}
        except (http.client.HTTPException, ValueError, AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{url} does not answer like TensorFlow Serving: {error!r}") from error
        except OSError:
            return set()  # it does not run, and starts with what is pinned
        finally:
            connection.close()

    return available


def _roll(name: str, base: Any, model: str, number: int, wait_s: int, served: Callable[[], set[int]]) -> dict[str, Any]:
    """Pin a release; return its number and that before it. Raises SlipwayError for servers that do not change.

    A pin that is missing or damaged is written anew; there is none before it then.
    """
    from serving.container.releases import NoRelease, pin, pinned

    try:
        before = pinned(base)
    except NoRelease:
        before = None
    pin(base, model, number)
    deadline = time.monotonic() + wait_s
    while late := served() - {number}:
        if time.monotonic() > deadline:
            pin(base, model, before or max(late))
            raise SlipwayError(
                f"a server of {name} still serves release {max(late)} after {wait_s} s, its log says why: release "
                f"{before or max(late)} is pinned again"
            )
        time.sleep(POLL_S)
    return {"name": name, "release": number, "before": before}
