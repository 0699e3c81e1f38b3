"""``python -m pipelines``: the same as ``slipway``."""

from pipelines.commands.cli import main

main(prog_name="slipway")
