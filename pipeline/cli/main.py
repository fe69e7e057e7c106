"""The entry point of the console script: little is imported before signals and errors are seen to."""

import sys

from belfry.pipeline.cli.console import errors_as_exit_codes
from belfry.pipeline.cli.signals import end_at_once_from_here_on


def main() -> None:
    """Every failure ends in one message and an exit code."""
    try:
        with errors_as_exit_codes():
            if hasattr(sys.stdout, "reconfigure"):
                sys.stdout.reconfigure(errors="backslashreplace")  # a title need not fit the terminal's encoding
            from belfry.pipeline.cli.commands import app

            app()
    finally:
        end_at_once_from_here_on()
