"""``slipway list``."""

from __future__ import annotations

from typing import Any

import click

from pipelines.commands.base import command, emit


@command("list", "list", "list --json")
def list_command(workspace: Any, as_json: bool) -> None:
    """Show the models, the paths with their variants, servers and requirements, and the size of the store."""
    from pipelines.artifacts.named import models_in, spec_named
    from pipelines.artifacts.unlinked import size
    from pipelines.claims.status import lifecycle_of
    from pipelines.paths import PATHS, path_module
    from serving.extras import install_command

    models = [{"name": name, "title": spec_named(workspace, name).title} for name in models_in(workspace)]
    cards = [path_module(name).CARD for name in PATHS]
    paths = [
        {
            "name": card.name,
            "title": card.title,
            "takes": list(card.takes),
            "lifecycle": lifecycle_of(card.name),
            "variants": {
                name: {
                    "summary": variant.summary,
                    "framework": variant.framework,
                    "lifecycle": lifecycle_of(card.name, name),
                    "missing": variant.missing(),
                    "install": install_command(card.extra) if variant.missing() else None,
                }
                for name, variant in card.variants.items()
            },
            "environment": list(card.environment.requirements) if card.environment else [],
            "protocols": list(card.protocols),
            "no_server": card.no_server or None,
        }
        for card in cards
    ]

    stored, counted = size(workspace)
    store = {"folder": str(workspace.store), "bytes": stored, "counted": counted}

    def text() -> None:
        for model in models:
            click.echo(f"model {model['name']}: {model['title']}")
        for card in cards:
            state = lifecycle_of(card.name)
            click.echo(f"\n{card.name}  {card.title}" + (f", {state}" if state else ""))
            for name, variant in card.variants.items():
                said = f", {state}" if (state := lifecycle_of(card.name, name)) else ""
                click.echo(f"  {card.name}:{name}  from {variant.framework}: {variant.summary}{said}")
                if missing := variant.missing():
                    click.echo(f"    not installed: {', '.join(missing)}; {install_command(card.extra)}")
            if card.environment:
                click.echo(f"  packaged in an environment of its own: {', '.join(card.environment.requirements)}")
            click.echo(f"  served over: {', '.join(card.protocols) or card.no_server}")

        least = "" if counted else "at least "
        click.echo(f"\nstore {workspace.store}: {least}{stored:,} bytes; `slipway clean` removes what is not linked")

    emit({"models": models, "paths": paths, "store": store}, as_json, text)
