"""``slipway list``."""

from __future__ import annotations

from typing import Any

import click

from pipelines.commands.base import command, emit


@command("list", "list", "list --json")
def list_command(_workspace: Any, as_json: bool) -> None:
    """Show the models, and the paths with their variants, servers and requirements."""
    from models import MODELS
    from pipelines.paths import PATHS, path_module, pip_command
    from pipelines.paths.choose import spec_named

    models = [{"name": name, "title": spec_named(name).title} for name in MODELS]
    cards = [path_module(name).CARD for name in PATHS]
    paths = [
        {
            "name": card.name,
            "title": card.title,
            "variants": {
                name: {
                    "summary": variant.summary,
                    "framework": variant.framework,
                    "missing": variant.missing(),
                    "install": pip_command(card.extra) if variant.missing() else None,
                }
                for name, variant in card.variants.items()
            },
            "protocols": list(card.protocols),
            "no_server": card.no_server or None,
        }
        for card in cards
    ]

    def text() -> None:
        for model in models:
            click.echo(f"model {model['name']}: {model['title']}")
        for card in cards:
            click.echo(f"\n{card.name}  {card.title}")
            for name, variant in card.variants.items():
                click.echo(f"  {card.name}:{name}  from {variant.framework}: {variant.summary}")
                if missing := variant.missing():
                    click.echo(f"    not installed: {', '.join(missing)}; {pip_command(card.extra)}")
            click.echo(f"  served over: {', '.join(card.protocols) or card.no_server}")

    emit({"models": models, "paths": paths}, as_json, text)
