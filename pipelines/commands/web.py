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
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page (default: a free one).")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on, for a container. The page answers to 127.0.0.1 and localhost only.",
)
@click.option(
    "--serve",
    "words",
    multiple=True,
    metavar="PATH[:VARIANT]",
    help="Serve a path, or run it in your browser; may be repeated (default: one of each, of what is packaged).",
)
@running_servers
@click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Compute threads of one prediction."
)
@click.option("--prometheus", metavar="URL", envvar="SLIPWAY_PROMETHEUS", help="Where Prometheus is, for a link to it.")
@click.option(
    "--allow-control", "control", is_flag=True, help="Let the page kill, add and change the servers of --serve."
)
def web_command(
    workspace: Any,
    model: str,
    port: int | None,
    host: str,
    words: tuple[str, ...],
    at: tuple[str, ...],
    threads: int,
    prometheus: str | None,
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
    from serving.launch import LOOPBACK, LaunchError, PortInUse

    links = {} if prometheus is None else {"prometheus": http_address(prometheus)}

    try:
        choices = start.chosen(workspace, model, words, at)
        with (
            start.listen(host, port or 0) as listening,
            start.opened(workspace, model, choices, at, threads, control, links) as site,
        ):
            listening.listen()  # whoever reads the address may open it at once
            address = f"http://{LOOPBACK}:{listening.getsockname()[1]}/?token={site.keys.token}"
            names = [*(server.name for server in site.fleet), *(one["name"] for one in site.shelf.listed())]
            if as_json:
                # On one line: who started us reads a line, and we go on.
                click.echo(json.dumps({"address": address, "servers": [server.name for server in site.fleet]}))
                click.get_current_context().meta[PRINTED] = True
            else:
                click.echo(f"{model} in {', '.join(names)}; Ctrl-C stops it")
                click.echo(f"  {address}")
            start.run(site, listening)
    except PortInUse as error:
        raise UserError(str(error)) from error
    except LaunchError as error:
        raise SlipwayError(str(error)) from error
    except KeyboardInterrupt:
        click.echo("stopping", err=True)


def http_address(text: str) -> str:
    """Return an address for a link. Raises UserError for anything but http:// and https://."""
    if not text.startswith(("http://", "https://")):
        raise UserError(f"--prometheus takes http://HOST:PORT. Received: {text}")
    return text
