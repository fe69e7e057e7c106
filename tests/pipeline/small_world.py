"""Data with every kind of column, and a first stage over them that is there in milliseconds."""

import numpy as np
import pyarrow as pa

from belfry.dataset.folds import Fold, Holdout, make_folds
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.tables import Tables
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.training.ranker_trainer import RankerTrainer
from belfry.pipeline.training.retrieval_stage import FirstStage, Tuning
from belfry.retrieval.blend import Source, combine
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.popularity import Popularity, PopularityConfig

N_USERS, N_ITEMS, N_EVENTS, DAY_S = 40, 30, 500, 86_400
N_LATE = 3  # items that only the newest tenth of the events holds
SETTINGS = ("retrieval.embedding_size=4", "retrieval.epochs=1", "n_candidates=12", "folds=3")


def small_data() -> Data:
    """Times, ratings, and user and item columns, one of each hot; events from the oldest on."""
    generator = np.random.default_rng(0)
    n_early = N_ITEMS - N_LATE
    cells = generator.permutation(N_USERS * n_early)[:N_EVENTS]
    items, n_newest = cells % n_early + 1, N_EVENTS // 10
    items[-n_newest::2] = generator.integers(n_early + 1, N_ITEMS + 1, n_newest // 2)
    interactions = pa.table(
        {
            "user_id": cells // n_early + 1,
            "item_id": items,
            "timestamp_s": 1_700_000_000 + np.sort(generator.integers(0, 90 * DAY_S, N_EVENTS)),
            "rating": generator.integers(1, 6, N_EVENTS).astype(np.float32),
        }
    )
    item_table = pa.table(
        {
            "item_id": np.arange(1, N_ITEMS + 1),
            "genres": [[f"g{number}" for number in generator.permutation(5)[:2]] for _ in range(N_ITEMS)],
            "year": generator.integers(1950, 2020, N_ITEMS),
            "n_plays": np.bincount(items, minlength=N_ITEMS + 1)[1:],
        }
    )
    users = np.arange(1, N_USERS + 1)
    user_table = pa.table(
        {"user_id": users, "group": [f"c{user % 4}" for user in users], "age": 20 + users, "n_visits": users**2}
    )
    return prepare(Tables(interactions, item_table, user_table, usage_columns=("n_visits", "n_plays")))


def config_of(holdout: Holdout, *settings: str) -> PipelineConfig:
    return load_config("default", holdout=holdout, settings=[*SETTINGS, *settings])


def folds_of(data: Data, holdout: Holdout) -> list[Fold]:
    return list(make_folds(data.interactions, holdout, n_folds=3, seed=0))


def show(trainer: RankerTrainer, fold: Fold, stage: FirstStage) -> None:
    for observed in trainer.observe(fold, stage, n_folds=3):
        trainer.add(observed)


def quick_stage(data: Data, history: Interactions) -> FirstStage:
    """Item neighbours and popularity; no towers."""
    features = data.features(history)
    popularity = Popularity(PopularityConfig(half_life_days=14, segment_smoothing=2)).fit(history, features, seed=0)
    neighbours = ItemKNN(ItemKNNConfig()).fit(history, features, seed=0)
    retriever = combine([Source("item_knn", neighbours, 12, 1.0), Source("popularity", popularity, 6, 1.0)])
    return FirstStage(features, {}, Tuning(PipelineConfig(), {}, {}), popularity, retriever)
