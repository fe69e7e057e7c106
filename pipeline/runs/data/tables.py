"""What a run folder holds: both forms of the models, and the tables to answer from.

run/
├── users.parquet, items.parquet      ids in the order of their numbers; items with titles
├── history/, history.json, dislikes/, impressions/   the events, as `events.py` keeps them
├── user_features/, item_features/     arrays, the large ones each in a file that is mapped
├── user_encoder.npz, item_encoder.npz  how these were made, to read users and items that come later
├── item_columns.npz                  what the table of items says, for rules; read where a rule asks for a column
├── serving/                          sources.json, sources/<name>/, popularity/, ranker/
└── training/                         configs and weights of all towers and the ranker, to go on from
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.errors import ArtifactError
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.layers.saved.files import ReadablePath, load_arrays, read_arrays, save_arrays, write_arrays
from belfry.pipeline.runs.data.events import load_events, save_events
from belfry.pipeline.runs.data.parquet import read_ids, write_table
from belfry.pipeline.runs.manifest import REMEDY

_USERS, _ITEMS = "users.parquet", "items.parquet"
_USER_FEATURES, _ITEM_FEATURES = "user_features", "item_features"
_USER_ENCODER, _ITEM_ENCODER = "user_encoder.npz", "item_encoder.npz"


def save_tables(features: FeatureTables, titles: pa.Array, folder: Path) -> None:
    """Vocabularies, history and features, as the models that were trained on them know them."""
    history = features.history
    write_table(pa.table({columns.USER_ID: history.users.ids}), folder / _USERS)
    write_table(pa.table({columns.ITEM_ID: history.items.ids, columns.TITLE: titles}), folder / _ITEMS)
    save_events(history, folder)
    save_arrays(folder / _USER_FEATURES, features.users.to_arrays())
    save_arrays(folder / _ITEM_FEATURES, features.items.to_arrays())


def load_tables(folder: ReadablePath) -> tuple[FeatureTables, pa.Array]:
    """What `save_tables` wrote: features, titles.

    Raises:
        ArtifactError: a table is of another form, or one does not fit another; names the file.
    """
    users, _ = read_ids(folder / _USERS, columns.USER_ID)
    items, items_table = read_ids(folder / _ITEMS, columns.ITEM_ID, titles=columns.TITLE)
    features = FeatureTables(
        load_events(folder, users, items),
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


def _read_features(path: ReadablePath, n: int) -> FeatureColumns:
    """Columns of features for numbers 0 to `n`."""
    features = FeatureColumns.from_arrays(load_arrays(path))
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
        if values.size and not np.isfinite([values.min(), values.max()]).all():  # without a mask as long as it
            raise ArtifactError(f"{path}: column {name[:100]!r} is not finite; {REMEDY}")
    for name, values in categories.items():
        if name not in features.sizes or (values.size and not 0 <= values.min() <= values.max() < features.sizes[name]):
            raise ArtifactError(f"{path}: column {name[:100]!r} has other categories than it says; {REMEDY}")
    return features
