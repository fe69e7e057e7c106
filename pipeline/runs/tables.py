"""What a run folder holds: both forms of the models, and the tables to answer from.

run/
├── users.parquet, items.parquet      ids in the order of their numbers; items with titles
├── history.parquet                   user_num, item_num and, where there are any, times, ratings, weights, labels;
│                                     where its rows are in order, its metadata say so
├── dislikes.parquet                  user_num and item_num of what users did not like, where there is any
├── user_features.npz, item_features.npz
├── serving/                          sources.json, sources/<name>/, popularity/, ranker/
└── training/                         configs and weights of all towers and the ranker, to go on from
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from belfry.dataset import columns
from belfry.dataset.features import FeatureColumns, FeatureTables, load_arrays, save_arrays
from belfry.dataset.interactions import Interactions, SeenItems
from belfry.dataset.vocabulary import Vocabulary, as_numpy

USER_NUM, ITEM_NUM = "user_num", "item_num"
_DISLIKES = "dislikes.parquet"
_LABEL = "label/"  # before the name of a further column
_IN_ORDER = b"belfry.rows_in_order"  # key of the metadata of a history whose rows stand in order


def save_tables(features: FeatureTables, titles: pa.Array, folder: Path) -> None:
    """Vocabularies, history and features, as the models that were trained on them know them."""
    history = features.history
    pq.write_table(pa.table({columns.USER_ID: history.users.ids}), folder / "users.parquet")
    pq.write_table(pa.table({columns.ITEM_ID: history.items.ids, columns.TITLE: titles}), folder / "items.parquet")
    events: dict[str, npt.NDArray[np.generic]] = {USER_NUM: history.user_num, ITEM_NUM: history.item_num}
    optional = {
        columns.TIMESTAMP_S: history.timestamp_s,
        columns.RATING: history.rating,
        columns.WEIGHT: history.weight,
    }
    events |= {name: values for name, values in optional.items() if values is not None}
    events |= {_LABEL + name: values for name, values in history.labels.items()}
    metadata = {_IN_ORDER: b"true"} if history.rows_in_order else None
    pq.write_table(pa.table(events, metadata=metadata), folder / "history.parquet")
    if history.dislikes is not None:
        pairs = {USER_NUM: history.dislikes.user_num, ITEM_NUM: history.dislikes.item_num}
        pq.write_table(pa.table(pairs), folder / _DISLIKES)
    save_arrays(folder / "user_features.npz", features.users.to_arrays())
    save_arrays(folder / "item_features.npz", features.items.to_arrays())


def load_tables(folder: Path) -> tuple[FeatureTables, pa.Array]:
    """What `save_tables` wrote: features, titles."""
    users = Vocabulary(_read(folder / "users.parquet")[columns.USER_ID])
    items_table = _read(folder / "items.parquet")
    table = _read(folder / "history.parquet")
    events = {name: as_numpy(table[name]) for name in table.column_names}
    history = Interactions(
        users,
        Vocabulary(items_table[columns.ITEM_ID]),
        events[USER_NUM],
        events[ITEM_NUM],
        events.get(columns.TIMESTAMP_S),
        events.get(columns.RATING),
        events.get(columns.WEIGHT),
        labels={name.removeprefix(_LABEL): values for name, values in events.items() if name.startswith(_LABEL)},
        rows_in_order=_IN_ORDER in (table.schema.metadata or {}),
        dislikes=_load_dislikes(folder / _DISLIKES, len(users)),
    )
    features = FeatureTables(
        history,
        FeatureColumns.from_arrays(load_arrays(folder / "user_features.npz")),
        FeatureColumns.from_arrays(load_arrays(folder / "item_features.npz")),
    )
    return features, items_table[columns.TITLE].combine_chunks()


def _load_dislikes(path: Path, n_users: int) -> SeenItems | None:
    if not path.exists():
        return None
    pairs = _read(path)
    starts = np.searchsorted(as_numpy(pairs[USER_NUM]), np.arange(n_users + 2)).astype(np.int64)
    return SeenItems(starts, as_numpy(pairs[ITEM_NUM]))


def _read(path: Path) -> pa.Table:
    """One file; `pq.read_table` would load what reads many."""
    with pq.ParquetFile(path) as file:
        return file.read()
