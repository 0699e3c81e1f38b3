"""``python -m pipelines``: the same as ``slipway``."""

from pipelines.cli import main

main(prog_name="slipway")
