"""`python -m belfry`: the console script."""

from belfry.pipeline.cli.commands import main

main()
