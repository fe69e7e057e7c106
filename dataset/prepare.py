"""Data: checked tables as numbers and features, ready to train on."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from belfry.dataset import columns
from belfry.dataset.encoding.context import learn_context
from belfry.dataset.encoding.table import FeatureEncoder, encode_by
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, EventWeights, part_events
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.tables import Tables
from belfry.dataset.vocabulary import UNKNOWN, Numbers, Vocabulary

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """The events, and what is known of users and items beside them."""

    interactions: Interactions
    users: FeatureColumns
    items: FeatureColumns
    titles: pa.Array  # [n_items] string, in the order of the vocabulary; null where an item has none
    item_table: pa.Table | None = None  # as it was checked, for what runs keep beside the features
    user_encoder: FeatureEncoder = field(default_factory=FeatureEncoder)  # which made `users`, and reads later ones
    item_encoder: FeatureEncoder = field(default_factory=FeatureEncoder)  # likewise of `items`

    def features(self, history: Interactions) -> FeatureTables:
        """What models may know when `history` is all that has happened; usage features are missing without events."""
        users = self.users.hide_usage(np.diff(history.matrix.indptr) > 0)
        items = self.items.hide_usage(history.item_counts > 0)
        return FeatureTables(history, users, items, title_numbers(self.titles))

    @property
    def content_hash(self) -> str:
        """SHA-256 over ids, events and features: equal tables give equal hashes, whatever file they came from."""
        events = self.interactions
        digest = hashlib.sha256((events.users.content_hash + events.items.content_hash).encode())
        event_columns = [events.user_num, events.item_num, events.timestamp_s, events.rating, events.weight]
        for pairs in (events.impressions, events.dislikes):
            if pairs is not None:
                event_columns += [pairs.user_num, pairs.item_num, pairs.time_s]
        event_columns += [values for _, values in sorted(events.labels.items())]
        for name, context in sorted(events.context.items()):
            digest.update(str((name, context.values)).encode())
            event_columns.append(context.numbers)
        if events.rows_in_order:
            digest.update(b"in order")
        for column in event_columns:
            digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        for features in (self.users, self.items):
            for name, values in features.to_arrays().items():
                digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def prepare(
    tables: Tables,
    event_weights: EventWeights = DEFAULT_EVENT_WEIGHTS,
    *,
    liked_from: float | None = None,
    tell: Callable[[str], object] = log.warning,
) -> Data:
    """Number and encode tables that `belfry.dataset.validation.check.check` has passed.

    The catalogue is every item that has an event (an impression or a dislike is enough) or a row in the items table;
    likewise the users.

    Args:
        tell: as in `part_events`.

    Raises:
        TableError: no event is a watch.
    """
    users, items = Vocabulary(tables.user_ids), Vocabulary(tables.item_ids)
    parts = part_events(tables.interactions, event_weights, liked_from=liked_from, tell=tell)
    texts, usage = tables.text_columns, tables.usage_columns
    user_encoder, item_encoder = (
        FeatureEncoder.learn(table, id_column=name, text_columns=texts, usage_columns=usage)
        for table, name in ((tables.users, columns.USER_ID), (tables.items, columns.ITEM_ID))
    )
    return Data(
        Interactions.from_table(
            parts.watches,
            users=users,
            items=items,
            impressions=parts.impressions,
            dislikes=parts.dislikes,
            labels=tables.label_columns,
            context=learn_context(parts.watches, tables.context_columns, tell),
        ),
        encode_by(user_encoder, tables.users, users, columns.USER_ID),
        encode_by(item_encoder, tables.items, items, columns.ITEM_ID),
        _titles(tables.items, items),
        item_table=tables.items,
        user_encoder=user_encoder,
        item_encoder=item_encoder,
    )


def _titles(items: pa.Table | None, vocabulary: Vocabulary) -> pa.Array:
    if items is None or columns.TITLE not in items.column_names:
        return pa.nulls(len(vocabulary), pa.string())
    row = pc.index_in(vocabulary.ids, value_set=items[columns.ITEM_ID].combine_chunks())
    return items[columns.TITLE].combine_chunks().cast(pa.string()).take(row)


def title_numbers(titles: pa.Array) -> Numbers:
    """[n_items + 1] number of each item's title from 1, 0 for the unknown item; a null title gets a number of its own.

    Args:
        titles: [n_items] strings, in the order of the vocabulary.
    """
    encoded = titles.dictionary_encode()
    is_missing = np.asarray(pc.is_null(titles))
    numbers = np.asarray(pc.fill_null(encoded.indices, 0), np.int32) + 1
    numbers[is_missing] = len(encoded.dictionary) + 1 + np.arange(is_missing.sum())
    return np.append(np.int32(UNKNOWN), numbers)
