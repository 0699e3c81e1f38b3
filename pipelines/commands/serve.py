"""``slipway serve``: runs one server in the foreground."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from pipelines.base.errors import SlipwayError, UserError
from pipelines.commands.base import PRINTED, command

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.paths.choose import Choice
    from serving.launch import Running


@command("serve", "serve tf-serving", "serve torchserve --rest-port 8080", "serve onnxruntime --container")
@click.argument("path", metavar="PATH[:VARIANT]")
@click.option("--model", default="mnist_cnn", show_default=True)
@click.option("--rest-port", type=click.IntRange(1, 65535), help="Port of the REST API (default: a free one).")
@click.option("--grpc-port", type=click.IntRange(1, 65535), help="Port of the gRPC API (default: a free one).")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--server", "flavour", metavar="NAME", help="Another server of this path, for example native.")
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Compute threads of one prediction."
)
@click.option("--container", is_flag=True, help="Run it in a container, from the image of docker-compose.yml.")
def serve_command(workspace: Any, path: str, model: str, container: bool, as_json: bool, **options: Any) -> None:
    """Start the server of a path, wait until it can predict, and keep it until Ctrl-C."""
    from pipelines.base.files import scratch
    from pipelines.base.progress import Steps
    from pipelines.measure import container as containers
    from pipelines.measure.server import server_module, started
    from pipelines.paths.choose import choose_one
    from pipelines.run.making import ready_artifact
    from pipelines.run.prepare import open_context
    from serving.container import engine
    from serving.container.recipe import CannotStart
    from serving.launch import LaunchError, PortInUse

    choice = choose_one(path)
    if container:
        containers.check(choice.card, options["flavour"], options["host"])
    else:
        server_module(choice.card, options["flavour"])
    context = open_context(workspace, model, "serve")
    with ExitStack() as stack:
        workdir = stack.enter_context(scratch("serve"))
        try:
            if container:
                engine.connect().close()  # fails here if there is no engine, before a model is trained
            with Steps() as steps:
                with steps.step(f"package and verify {choice.name}") as step:
                    _, artifact = ready_artifact(context, model, choice, step.say)
                with steps.step(f"start the server of {choice.name}") as step:
                    server: Running
                    if container:
                        server = stack.enter_context(
                            containers.started(choice.card, artifact, workdir, step.say, **options)
                        )
                    else:
                        server = stack.enter_context(started(choice.card, artifact, workdir, **options))
            _announce(server, choice, workdir, as_json)
            server.wait()
            raise SlipwayError(server.describe(f"{server.recipe.server} ended by itself ({server.exit_text()})"))
        except (PortInUse, CannotStart) as error:
            raise UserError(str(error)) from error
        except LaunchError as error:
            raise SlipwayError(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopping", err=True)


def _announce(server: Running, choice: Choice, workdir: Path, as_json: bool) -> None:
    from pipelines.run.addresses import protocol_for

    token_file = None
    token = server.recipe.token()
    if token is not None:
        token_file = workdir / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(token)
    endpoints = dict(server.recipe.endpoints)
    if as_json:
        facts = {"server": server.recipe.server, "endpoints": endpoints, "pid": server.root_pid()}
        # On one line: who started us reads a line, and we go on.
        click.echo(json.dumps({**facts, "token_file": str(token_file) if token_file else None}))
        click.get_current_context().meta[PRINTED] = True
        return
    click.echo(f"{server.recipe.server} serves {choice.name}; Ctrl-C stops it")
    auth = f" --token-file {token_file}" if token_file else ""
    for protocol, url in endpoints.items():
        which = "" if protocol == protocol_for(choice, url) else f" --protocol {protocol}"
        click.echo(f"  {protocol}  {url}")
        click.echo(f"    slipway predict {choice.name} --from-test-set 0 --url {url}{which}{auth}")
