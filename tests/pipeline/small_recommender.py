"""A recommender over a small made-up run, there in milliseconds: item neighbours, then a ranker that turns lists round.

User 7 has seen everything, user 8 only an item without neighbours: neither can get a list. User 9 has no history.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset.candidates import Candidates
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.runs.gate import NOT_EVALUATED
from belfry.pipeline.runs.manifest import FORMAT_VERSION, Manifest
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.serving.load import Parts
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import TwoStage
from belfry.ranking.base import Scores
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.popularity import Popularity, PopularityConfig

SEEN_ALL, SEEN_ODD, NO_HISTORY = 7, 8, 9  # user ids


class TurnRound:
    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return -candidates.score


class NoTowers:
    """In the place of towers that nobody asks."""


class SmallRecommender(Recommender):
    """Users 1, 2, ... (or "u1", "u2", ...) and items "a", "b", ..., the last of them without neighbours."""

    def __init__(self, *, n_users: int = 40, n_items: int = 12, text_ids: bool = False, name: str = "small-0") -> None:
        users = Vocabulary(pa.array([f"u{i}" if text_ids else i for i in range(1, n_users + 1)]))
        items = Vocabulary(pa.array([chr(ord("a") + i) for i in range(n_items)]))
        watched = np.random.default_rng(0).random((n_users + 1, n_items + 1)) < 0.4
        watched[:, [0, n_items]] = watched[0] = watched[[SEEN_ODD, NO_HISTORY]] = False
        watched[SEEN_ODD, n_items] = watched[SEEN_ALL, 1:] = True
        user_id = [f"u{i}" if text_ids else i for i in range(n_users + 1)]
        user, item = np.nonzero(watched)
        user_num = users.numbers(pa.array([user_id[i] for i in user]))
        history = Interactions(users, items, user_num, item.astype(np.int32))
        features = FeatureTables(history, FeatureColumns(), FeatureColumns())
        two_stage = TwoStage(
            features=features,
            towers=NoTowers(),  # type: ignore[arg-type]
            vectors=np.zeros((n_items + 1, 1), np.float32),
            retriever=ItemKNN(ItemKNNConfig()).fit(history.select(user != SEEN_ALL), features, seed=0),
            popularity=Popularity(PopularityConfig()).fit(history, features, seed=0),
            cold_weight=0.0,
            ranker=TurnRound(),
            n_candidates=n_items,
        )
        titles = pa.nulls(n_items, pa.string())
        super().__init__(Parts(run_called(name), two_stage, titles, DEFAULT_EVENT_WEIGHTS, reads_history=True))


def run_called(name: str) -> Run:
    """An empty run, on no disk."""
    manifest = Manifest(
        preset="small",
        seed=0,
        holdout="random",
        config={},
        versions={},
        input_hash="",
        format_version=FORMAT_VERSION,
        name=name,
        created_at="2026-01-01T00:00:00+00:00",
        gate=NOT_EVALUATED,
        notes={},
        files={},
    )
    return Run(Path(name), manifest)
