"""What the weights of an updated run were trained on: who was known then, and what was watched how often.

run/training/
├── users.parquet    ids in the order of the numbers that the weights know, and the events of each
└── items.parquet    likewise

They are there once a run has been updated; before that the run's own tables say the same.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary, as_arrow, as_numpy
from belfry.pipeline.runs.data.parquet import read_ids, write_table
from belfry.pipeline.runs.reader import Run

_FOLDER, _USERS, _ITEMS, _N_EVENTS = "training", "users.parquet", "items.parquet", "n_events"


@dataclass(frozen=True)
class TrainedOn:
    """Who and what was known at training."""

    users: Vocabulary
    items: Vocabulary
    of_users: npt.NDArray[np.int64]  # [n_users + 1] events of each
    of_items: npt.NDArray[np.int64]  # [n_items + 1]

    @classmethod
    def of(cls, run: Run, history: Interactions) -> "TrainedOn":
        """Of a run with this history.

        Raises:
            ArtifactError: its tables are of another form.
        """
        folder = run.root / _FOLDER
        if not (folder / _ITEMS).exists():
            of_users = np.bincount(history.user_num, minlength=len(history.users) + 1)
            of_items = np.bincount(history.item_num, minlength=len(history.items) + 1)
            return cls(history.users, history.items, of_users, of_items)
        users, user_table = read_ids(folder / _USERS, columns.USER_ID, counts=_N_EVENTS)
        items, item_table = read_ids(folder / _ITEMS, columns.ITEM_ID, counts=_N_EVENTS)
        counts = (np.append(0, as_numpy(table[_N_EVENTS])) for table in (user_table, item_table))
        return cls(users, items, *counts)

    def save(self, folder: Path) -> None:
        """Into the run in `folder`, beside the weights."""
        training = folder / _FOLDER
        training.mkdir(exist_ok=True)
        users = {columns.USER_ID: self.users.ids, _N_EVENTS: as_arrow(self.of_users[1:])}
        items = {columns.ITEM_ID: self.items.ids, _N_EVENTS: as_arrow(self.of_items[1:])}
        write_table(pa.table(users), training / _USERS)
        write_table(pa.table(items), training / _ITEMS)
