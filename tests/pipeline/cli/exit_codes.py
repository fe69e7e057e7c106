"""Bodies that end as the console script does."""

from collections.abc import Iterator
from contextlib import contextmanager

from belfry.pipeline.cli.console import errors_in_words
from belfry.pipeline.cli.signals import interrupts


@contextmanager
def errors_as_exit_codes() -> Iterator[None]:
    """As `errors_in_words`, with signals handled while the body runs."""
    with interrupts() as signals:
        signals.is_at_work = True
        with errors_in_words(signals):
            yield
