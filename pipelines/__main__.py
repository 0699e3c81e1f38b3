"""Starts the command line: the script ``slipway``, and ``python -m pipelines``."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C while its modules are imported ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the commands can handle it

    from pipelines.commands.cli import main as commands

    commands(prog_name="slipway")


if __name__ == "__main__":
    main()
