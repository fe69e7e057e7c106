"""The console script `belfry`: one short function per verb, which parses, calls and prints.

Nothing heavy is imported before a verb needs it, so that `belfry --help` answers at once. Verbs are listed in the order
of these imports.
"""

from belfry.pipeline.cli.commands import train, update, tune, answer, serve, judge, look, runs, doctor  # noqa: F401, I001
from belfry.pipeline.cli.commands.app import app

__all__ = ["app"]
