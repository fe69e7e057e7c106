"""What a run folder holds: both forms of the models, and the tables to answer from.

run/
├── users.parquet, items.parquet      ids in the order of their numbers; items with titles
├── history.parquet                   user_num, item_num and, where there are any, times, ratings, weights, labels,
│                                     context, by user and in order; where the rows were in order without times, its
│                                     metadata say so, and the values of each context
├── dislikes.parquet                  user_num and item_num of what users did not like, where there is any
├── impressions.parquet               the same of what users were shown, each time, and when, where it is known
├── user_features.npz, item_features.npz
├── user_encoder.npz, item_encoder.npz  how these were made, to read users and items that come later
├── item_columns.npz                  what the table of items says, for rules; read where a rule asks for a column
├── serving/                          sources.json, sources/<name>/, popularity/, ranker/
└── training/                         configs and weights of all towers and the ranker, to go on from
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from belfry.dataset import columns
from belfry.dataset.encoding.context import ContextColumn
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary, as_numpy
from belfry.layers.saved.files import ReadablePath, read_arrays, write_arrays
from belfry.pipeline.runs.manifest import REMEDY
from belfry.pipeline.runs.parquet import read_ids, read_table, write_table

USER_NUM, ITEM_NUM = "user_num", "item_num"
_USERS, _ITEMS, _HISTORY, _DISLIKES = "users.parquet", "items.parquet", "history.parquet", "dislikes.parquet"
_IMPRESSIONS = "impressions.parquet"
_USER_FEATURES, _ITEM_FEATURES = "user_features.npz", "item_features.npz"
_USER_ENCODER, _ITEM_ENCODER = "user_encoder.npz", "item_encoder.npz"
_LABEL = "label/"  # before the name of a further column
_CONTEXT = "context/"  # likewise of a column of context, by numbers
_IN_ORDER = b"belfry.rows_in_order"  # key of the metadata of a history whose rows stand in order
_CONTEXT_VALUES = b"belfry.context"  # likewise of what the numbers of context stand for, as JSON
_COLUMN_TYPES = {  # of events
    USER_NUM: pa.int32(),
    ITEM_NUM: pa.int32(),
    columns.TIMESTAMP_S: pa.int64(),
    columns.RATING: pa.float32(),
    columns.WEIGHT: pa.float32(),
    "label": pa.float32(),
    "context": pa.int32(),
}


def save_tables(features: FeatureTables, titles: pa.Array, folder: Path) -> None:
    """Vocabularies, history and features, as the models that were trained on them know them."""
    history = features.history.select(features.history.by_user.order)  # sorted once, and not whenever a run is opened
    write_table(pa.table({columns.USER_ID: history.users.ids}), folder / _USERS)
    write_table(pa.table({columns.ITEM_ID: history.items.ids, columns.TITLE: titles}), folder / _ITEMS)
    events: dict[str, npt.NDArray[np.generic]] = {USER_NUM: history.user_num, ITEM_NUM: history.item_num}
    optional = {
        columns.TIMESTAMP_S: history.timestamp_s,
        columns.RATING: history.rating,
        columns.WEIGHT: history.weight,
    }
    events |= {name: values for name, values in optional.items() if values is not None}
    events |= {_LABEL + name: values for name, values in history.labels.items()}
    events |= {_CONTEXT + name: column.numbers for name, column in history.context.items()}
    metadata = {_IN_ORDER: b"true"} if history.rows_in_order else {}
    if history.context:
        values = {name: column.values for name, column in history.context.items()}
        metadata[_CONTEXT_VALUES] = json.dumps(values).encode()
    write_table(pa.table(events, metadata=metadata or None), folder / _HISTORY)
    if history.dislikes is not None:
        _write_pairs(replace(history.dislikes, first_s=None), folder / _DISLIKES)
    if history.impressions is not None:
        _write_pairs(history.impressions, folder / _IMPRESSIONS)
    write_arrays(folder / _USER_FEATURES, features.users.to_arrays())
    write_arrays(folder / _ITEM_FEATURES, features.items.to_arrays())


def load_tables(folder: ReadablePath) -> tuple[FeatureTables, pa.Array]:
    """What `save_tables` wrote: features, titles.

    Raises:
        ArtifactError: a table is of another form, or one does not fit another; names the file.
    """
    users, _ = read_ids(folder / _USERS, columns.USER_ID)
    items, items_table = read_ids(folder / _ITEMS, columns.ITEM_ID, titles=columns.TITLE)
    events, metadata = _read_numbers(folder / _HISTORY, users, items)
    history = Interactions(
        users,
        items,
        events[USER_NUM],
        events[ITEM_NUM],
        events.get(columns.TIMESTAMP_S),
        events.get(columns.RATING),
        events.get(columns.WEIGHT),
        labels={name.removeprefix(_LABEL): values for name, values in events.items() if name.startswith(_LABEL)},
        rows_in_order=_IN_ORDER in metadata,
        impressions=_read_pairs(folder / _IMPRESSIONS, users, items),
        dislikes=_read_pairs(folder / _DISLIKES, users, items),
        context=_context_in(folder / _HISTORY, events, metadata),
    )
    features = FeatureTables(
        history,
        _read_features(folder / _USER_FEATURES, len(users)),
        _read_features(folder / _ITEM_FEATURES, len(items)),
    )
    return features, items_table[columns.TITLE].combine_chunks()


def save_encoders(users: FeatureEncoder, items: FeatureEncoder, folder: Path) -> None:
    """How the features were made, to read later rows alike."""
    write_arrays(folder / _USER_ENCODER, users.to_arrays())
    write_arrays(folder / _ITEM_ENCODER, items.to_arrays())


def load_user_encoder(folder: ReadablePath, users: FeatureColumns) -> FeatureEncoder:
    """What `save_encoders` wrote of users.

    Raises:
        ArtifactError: it is none, or none that could have made the features `users`.
    """
    return _load_encoder(folder / _USER_ENCODER, users, _USER_FEATURES)


def load_item_encoder(folder: ReadablePath, items: FeatureColumns) -> FeatureEncoder:
    """Likewise of items."""
    return _load_encoder(folder / _ITEM_ENCODER, items, _ITEM_FEATURES)


def _load_encoder(path: ReadablePath, made: FeatureColumns, name: str) -> FeatureEncoder:
    """The encoder of the features `made`, which the file `name` holds."""
    arrays = read_arrays(path)
    try:
        encoder = FeatureEncoder.from_arrays(arrays)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: is no encoder of features ({str(error)[:200]}); {REMEDY}") from error
    if not encoder.fits(made):
        raise ArtifactError(f"{path}: encodes other columns than {name} holds; {REMEDY}")
    return encoder


def _read_numbers(
    path: ReadablePath, users: Vocabulary, items: Vocabulary
) -> tuple[dict[str, npt.NDArray[Any]], dict[bytes, bytes]]:
    """Columns of events, which name users and items by their numbers; and the metadata of their table."""
    table = read_table(path, lambda name: (_COLUMN_TYPES.get(name.partition("/")[0] if "/" in name else name),))
    if not {USER_NUM, ITEM_NUM} <= set(table.column_names) or any(column.null_count for column in table.columns):
        raise ArtifactError(f"{path}: wanted {USER_NUM!r} and {ITEM_NUM!r} and no nulls; {REMEDY}")
    events = {name: as_numpy(table[name]) for name in table.column_names}
    for name, known in ((USER_NUM, users), (ITEM_NUM, items)):
        if table.num_rows and not 1 <= events[name].min() <= events[name].max() <= len(known):
            raise ArtifactError(f"{path}: {name!r} is not within 1 and {len(known):,}; {REMEDY}")
    return events, table.schema.metadata or {}


def _context_in(
    path: ReadablePath, events: dict[str, npt.NDArray[Any]], metadata: dict[bytes, bytes]
) -> dict[str, ContextColumn]:
    """The columns of context, each with the values that its numbers stand for."""
    numbers = {name.removeprefix(_CONTEXT): values for name, values in events.items() if name.startswith(_CONTEXT)}
    if not numbers and _CONTEXT_VALUES not in metadata:
        return {}
    try:
        values = TypeAdapter(dict[str, tuple[str, ...]]).validate_json(metadata.get(_CONTEXT_VALUES, b""))
    except ValidationError as error:
        raise ArtifactError(f"{path}: does not say what its context stands for; {REMEDY}") from error
    for name in values.keys() | numbers.keys():
        own, known = numbers.get(name), values.get(name, ())
        if own is None or len(set(known)) < len(known) or (len(own) and not 0 <= own.min() <= own.max() <= len(known)):
            raise ArtifactError(f"{path}: context {name[:100]!r} has other values than it says; {REMEDY}")
    return {name: ContextColumn(known, numbers[name]) for name, known in values.items()}


def _write_pairs(pairs: SeenItems, path: Path) -> None:
    table = {USER_NUM: pairs.user_num, ITEM_NUM: pairs.item_num}
    write_table(pa.table(table if pairs.first_s is None else {**table, columns.TIMESTAMP_S: pairs.first_s}), path)


def _read_pairs(path: ReadablePath, users: Vocabulary, items: Vocabulary) -> SeenItems | None:
    """What `_write_pairs` wrote; None where there is no file."""
    if not path.exists():
        return None
    pairs, _ = _read_numbers(path, users, items)
    if (np.diff(pairs[USER_NUM]) < 0).any():
        raise ArtifactError(f"{path}: its users are not in order; {REMEDY}")
    starts = np.searchsorted(pairs[USER_NUM], np.arange(len(users) + 2)).astype(np.int64)
    return SeenItems(starts, pairs[ITEM_NUM], pairs.get(columns.TIMESTAMP_S))


def _read_features(path: ReadablePath, n: int) -> FeatureColumns:
    """Columns of features for numbers 0 to `n`."""
    features = FeatureColumns.from_arrays(read_arrays(path))
    categories: dict[str, npt.NDArray[Any]] = {**features.categorical, **features.multi_valued}
    of_kind = (
        (features.categorical, 1, np.int32),
        (features.numeric, 1, np.float32),
        (features.multi_valued, 2, np.int32),
        (features.vectors, 2, np.float32),
    )
    for named, n_axes, dtype in of_kind:
        for name, values in named.items():
            if values.ndim != n_axes or len(values) != n + 1 or values.dtype != dtype:
                raise ArtifactError(
                    f"{path}: column {name[:100]!r} is not of {n + 1:,} values of {dtype.__name__}; {REMEDY}"
                )
    for name, values in (*features.numeric.items(), *features.vectors.items()):
        if not np.isfinite(values).all():
            raise ArtifactError(f"{path}: column {name[:100]!r} is not finite; {REMEDY}")
    for name, values in categories.items():
        if name not in features.sizes or (values.size and not 0 <= values.min() <= values.max() < features.sizes[name]):
            raise ArtifactError(f"{path}: column {name[:100]!r} has other categories than it says; {REMEDY}")
    return features
