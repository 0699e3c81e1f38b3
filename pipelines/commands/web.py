"""``slipway web``: one page where a person tries a model in every server."""

from __future__ import annotations

import json
from typing import Any

import click

from pipelines.base.errors import MissingExtra, SlipwayError, UserError
from pipelines.commands.base import PRINTED, command, running_servers


@command(
    "web",
    "web",
    "web mnist_cnn --serve onnxruntime --serve tf-serving:litert --port 8888",
    "web --at onnxruntime=http://127.0.0.1:8080,grpc://127.0.0.1:8081",
)
@click.argument("model", default="mnist_cnn", envvar="SLIPWAY_MODEL")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page, on loopback (default: a free one).")
@click.option(
    "--serve",
    "words",
    multiple=True,
    metavar="PATH[:VARIANT]",
    help="Start the server of a path; may be repeated (default: one of each server, of what is packaged).",
)
@running_servers
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Compute threads of one prediction."
)
@click.option(
    "--allow-control", "control", is_flag=True, help="Let the page kill, add and change the servers of --serve."
)
def web_command(
    workspace: Any,
    model: str,
    port: int | None,
    words: tuple[str, ...],
    at: tuple[str, ...],
    threads: int,
    control: bool,
    as_json: bool,
) -> None:
    """Show a page where you try a model in every server at once, until Ctrl-C.

    It starts the servers that --serve names, which end with it, and asks those of --at, which run already. The address
    has a token that only you see: who has it can use the page.
    """
    try:
        from pipelines.web import start
    except ModuleNotFoundError as error:
        from serving.extras import install_command

        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise MissingExtra(f"the page needs {error.name}: {install_command('web')}") from error
    from serving.launch import LaunchError, PortInUse

    try:
        choices = start.chosen(workspace, model, words, at)
        with (
            start.listen(port or 0) as listening,
            start.opened(workspace, model, choices, at, threads, control) as site,
        ):
            host, bound = listening.getsockname()
            listening.listen()  # whoever reads the address may open it at once
            address = f"http://{host}:{bound}/?token={site.keys.token}"
            if as_json:
                # On one line: who started us reads a line, and we go on.
                click.echo(json.dumps({"address": address, "servers": [server.name for server in site.fleet]}))
                click.get_current_context().meta[PRINTED] = True
            else:
                click.echo(f"{model} in {', '.join(server.name for server in site.fleet)}; Ctrl-C stops it")
                click.echo(f"  {address}")
            start.run(site, listening)
    except PortInUse as error:
        raise UserError(str(error)) from error
    except LaunchError as error:
        raise SlipwayError(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
