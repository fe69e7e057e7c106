"""A small world with a plan: users and items have a side, sides agree, and ratings follow from a trait and the side."""

import numpy as np
import pyarrow as pa

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Numbers
from belfry.ranking.multitask.config import MultitaskConfig, TaskConfig

RATING = TaskConfig(column="rating", utility=0.5)
TINY = MultitaskConfig(
    tasks=(RATING,),
    embedding_size=8,
    n_factors=3,
    expert_width=8,
    batch_users=20,
    batch_raters=20,
    history_dropout=0.1,
    dropout=0.1,
    learning_rate=0.03,
    label_rate=0.03,
    factor_l2=3.0,
    slope_l2=3.0,
    item_l2=3.0,
    epochs=15,
    evaluations=5,
)


def world(n_users: int = 60, n_items: int = 20, *, n_silent: int = 0, seed: int = 0) -> FeatureTables:
    """Users watch nine in ten items; even users love even items, odd ones odd items; the last `n_silent` do not rate.

    Everybody watches equally many, so that all batches have one shape and a training step is traced once. `liked` is
    whether the rating is 4 or more, `stars` the rating in whole numbers. Ids equal numbers.
    """
    generator = np.random.default_rng(seed)
    users, items = np.meshgrid(np.arange(1, n_users + 1), np.arange(1, n_items + 1), indexing="ij")
    watched = generator.permuted(np.arange(n_items) >= n_items // 10 + np.zeros((n_users, 1)), axis=1)
    user, item = users[watched], items[watched]
    rating = true_rating(user, item)
    rating[user > n_users - n_silent] = np.nan
    table = pa.table(
        {
            "user_id": user,
            "item_id": item,
            "rating": pa.array(rating, from_pandas=True),
            "stars": pa.array(np.rint(rating), from_pandas=True),
            "liked": pa.array(np.where(np.isnan(rating), np.nan, rating >= 4), from_pandas=True),
        }
    )
    history = Interactions.from_table(table, labels=("liked", "stars"))
    everybody = np.arange(n_users + 1, dtype=np.int32)
    everything = np.arange(n_items + 1, dtype=np.int32)
    return FeatureTables(
        history,
        FeatureColumns({"half": np.where(everybody > 0, 1 + everybody % 3, 0).astype(np.int32)}, {}, {}, {"half": 4}),
        FeatureColumns({"studio": everything % 4}, {"year": np.sin(everything).astype(np.float32)}, {}, {"studio": 4}),
    )


def true_rating(user: np.ndarray, item: np.ndarray) -> np.ndarray:
    return 3 + 1.0 * np.where(user % 2 == item % 2, 1, -1) + 0.5 * np.sin(3 * item)


def unwatched(features: FeatureTables) -> Candidates:
    """Every pair that the history lacks, by user."""
    seen = features.history.matrix.toarray() > 0
    user, item = np.nonzero(~seen[1:, 1:])
    return pairs(user.astype(np.int32) + 1, item.astype(np.int32) + 1)


def pairs(user_num: Numbers, item_num: Numbers) -> Candidates:
    """Rows of these pairs; `user_num` never falls."""
    users, row_user = np.unique(user_num, return_inverse=True)
    nothing = np.zeros(len(item_num), np.int32)
    return Candidates(
        users, row_user.astype(np.int64), item_num, nothing.astype(np.float32), nothing, nothing.astype(np.int8), ("x",)
    )
