"""``slipway clean``."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import click

from pipelines.commands.base import command, emit

SECONDS = {"m": 60, "h": 3600, "d": 86_400}


def _age(_ctx: click.Context, option: click.Parameter, text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if found is None:
        raise click.BadParameter(f"expected an age such as 30m, 12h or 7d. Received: {text}", param=option)
    return int(found[1]) * SECONDS[found[2]]


@command("clean", "clean --dry-run", "clean --older-than 7d")
@click.option(
    "--older-than",
    "age_s",
    default="1h",
    show_default=True,
    callback=_age,
    metavar="AGE",
    help="Only what was built longer ago: 30m, 12h, 7d.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing, and say what would be removed.")
def clean_command(workspace: Any, age_s: float, dry_run: bool, as_json: bool) -> None:
    """Remove the builds in artifacts/.store that no model, no variant and no release links to.

    Stop servers first that still serve an older build than the one that is linked now.
    """
    from pipelines.artifacts.unlinked import builds, remove

    found = [build for build in builds(workspace) if not build.linked and build.age_s >= age_s]
    gone = [build for build in found if dry_run or remove(workspace, build)]
    freed = sum(build.bytes for build in gone)

    def text() -> None:
        for build in gone:
            click.echo(f"{workspace.store / build.key}  {build.bytes:,} bytes, built {build.age_s / 3600:,.1f} h ago")
        click.echo(f"{len(gone)} builds, {freed:,} bytes{' would be' if dry_run else ''} removed")

    emit({"dry_run": dry_run, "builds": [asdict(build) for build in gone], "bytes": freed}, as_json, text)
