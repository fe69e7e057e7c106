"""The entry point of the console script: little is imported before signals and errors are seen to."""

import sys
from typing import NoReturn

from belfry.pipeline.cli.console import errors_as_exit_codes
from belfry.pipeline.cli.signals import leave


def main() -> NoReturn:
    """Every failure ends in one message and an exit code."""
    code: str | int | None = 0
    try:
        with errors_as_exit_codes():
            if hasattr(sys.stdout, "reconfigure"):
                sys.stdout.reconfigure(errors="backslashreplace")  # a title need not fit the terminal's encoding
            from belfry.pipeline.cli.commands import app

            app()
    except SystemExit as stop:
        code = stop.code
    leave(code if isinstance(code, int) else int(code is not None))
