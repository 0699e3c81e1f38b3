"""``slipway claims``: the article's claims, measured and judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pipelines.commands.base import Commands, command, emit

if TYPE_CHECKING:
    from pipelines.results import Report

TABLE = {"run": "claims:run_command", "show": "claims:show_command", "report": "claims:report_command"}


@click.group("claims", cls=Commands, table=TABLE, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.pass_context
def claims_command(ctx: click.Context, as_json: bool) -> None:
    """Show the ledger: what the article claims, and what measuring says of it.

    \b
    Examples:
      slipway claims
      slipway claims run --quick
      slipway claims run P1 S4
      slipway claims show P1
      slipway claims report
    """
    if ctx.invoked_subcommand is not None:
        return
    from pipelines.claims.ledger.running import ledger_of
    from pipelines.claims.ledger.view import lines
    from pipelines.report import claims_text

    found = lines(ledger_of(ctx.obj))
    emit(found, as_json, lambda: claims_text.show(found))


@command("run", "claims run --quick", "claims run", "claims run P1 P3 --again")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--quick", is_flag=True, help="Fewer rounds and sizes: a quarter of the time.")
@click.option("--tiny", is_flag=True, hidden=True)
@click.option("--again", is_flag=True, help="Measure anew what is up to date.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the order of rounds (default: of today's date).")
def run_command(
    workspace: Any, ids: tuple[str, ...], quick: bool, tiny: bool, again: bool, seed: int | None, as_json: bool
) -> None:
    """Measure claims, all by default: 40 to 60 minutes on two processors.

    An interrupted run goes on where it was. Exit code 1 if an experiment failed.
    """
    from datetime import UTC, datetime

    from pipelines.claims.experiments.bench import Effort
    from pipelines.claims.ledger.running import ClaimRunner, chosen, seed_of
    from pipelines.claims.ledger.view import line_of
    from pipelines.report import claims_text

    names = chosen(ids)
    workspace.check_writable()
    effort = Effort.TINY if tiny else Effort.QUICK if quick else Effort.FULL
    if seed is None:
        seed = seed_of(datetime.now(UTC).date().isoformat())
    running = ClaimRunner(workspace, effort, seed, lambda: _reports(workspace), again=again)
    for _ in running.measure(names):
        pass
    found = [line_of(running.ledger, name) for name in names]
    emit(found, as_json, lambda: claims_text.show(found))
    if any(one.failed for one in found):
        raise SystemExit(1)


@command("show", "claims show P1", "claims show S4 --json")
@click.argument("id")
def show_command(workspace: Any, id: str, as_json: bool) -> None:
    """Show one claim: its words, its rule, what was measured, and what else could explain it."""
    from pipelines.claims.ledger.running import chosen, ledger_of
    from pipelines.claims.ledger.view import page_of
    from pipelines.report import claims_text

    (name,) = chosen([id])
    found = page_of(ledger_of(workspace), name)
    emit(found, as_json, lambda: claims_text.show_one(found))


@command("report", "claims report")
def report_command(workspace: Any, as_json: bool) -> None:
    """Write claims.html and claims.json into reports/claims."""
    from pipelines.base.files import write_text
    from pipelines.claims import CLAIMS
    from pipelines.claims.ledger.running import ledger_of
    from pipelines.claims.ledger.view import page_of
    from pipelines.commands.base import plain
    from pipelines.report import claims_page

    ledger = ledger_of(workspace)
    found = [page_of(ledger, name) for name in CLAIMS]
    ledger.folder.mkdir(parents=True, exist_ok=True)
    write_text(ledger.folder / "claims.json", json.dumps(plain(found), indent=2, ensure_ascii=False) + "\n")
    page = ledger.folder / "claims.html"
    write_text(page, claims_page.render(found))
    emit({"html": str(page)}, as_json, lambda: click.echo(f"report: {workspace.shown(page)}"))


def _reports(workspace: Any) -> Mapping[str, Report]:
    """Return the newest report of each model. Raises NotPossible, with the command that makes one, if there is none."""
    from models import MODELS
    from pipelines.base.errors import NotPossible
    from pipelines.report.json_face import read

    places = {model: workspace.reports(model) / "latest" / "report.json" for model in MODELS}
    found = {model: read(place) for model, place in places.items() if place.exists()}
    if not found:
        raise NotPossible("there is no report of a run to read from. This makes one: slipway run mnist_cnn")
    return found
