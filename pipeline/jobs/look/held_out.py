"""What users did after the history of a run: a table, or the test part that `belfry run` keeps in it."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset.errors import ArtifactError
from belfry.dataset.interactions import Interactions
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import read_events
from belfry.pipeline.jobs.later_events import later_watches
from belfry.pipeline.runs.manifest import REMEDY
from belfry.pipeline.serving.recommender import Recommender

_TEST = "split/test.parquet"


def held_out(recommender: Recommender, test: Path | None, reading: Reading) -> Interactions | None:
    """Watches, with ratings where there are any; None where neither is there.

    Raises:
        InputError: the table cannot be read.
        ArtifactError: the part in the run cannot.
    """
    users, items = recommender.users, recommender.items
    if test is not None:
        table = read_events(test, users, items, reading=reading)
    elif _TEST in recommender.run.manifest.files:
        path = recommender.run.path(_TEST)
        try:
            table = pq.read_table(pa.BufferReader(path.read_bytes()))
        except pa.ArrowException as error:
            raise ArtifactError(f"{path}: is no table of watches ({str(error)[:200]}); {REMEDY}") from error
    else:
        return None
    policy, weights = recommender.parts.policy, recommender.event_weights
    watches = later_watches(table, users, items, weights, policy=policy, rated_and_timed=True)
    return Interactions.from_table(watches, users=users, items=items)
