"""The entry point of the console script: little is imported before signals and errors are seen to."""

import os
import sys
from typing import NoReturn

from belfry.pipeline.cli.console import errors_in_words
from belfry.pipeline.cli.signals import interrupts, leave


def main() -> NoReturn:
    """Every failure ends in one message and an exit code."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # see `one_thread`; libraries read it when they are loaded
    with interrupts() as signals:
        code: str | int | None = 0
        try:
            signals.is_at_work = True
            with errors_in_words(signals):
                if hasattr(sys.stdout, "reconfigure"):
                    sys.stdout.reconfigure(errors="backslashreplace")  # a title need not fit the terminal's encoding
                from belfry.pipeline.cli.commands import app

                app()
            signals.is_at_work = False
        except BaseException as error:
            signals.is_at_work = False
            if signals.number:  # it came on the way into the inner block or out of it
                signals.end(signals.number)
            if not isinstance(error, SystemExit):
                raise
            code = error.code
        leave(code if isinstance(code, int) else int(code is not None))
