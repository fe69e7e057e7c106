"""`python -m belfry`: the console script."""

from belfry.pipeline.cli.main import main

main()
