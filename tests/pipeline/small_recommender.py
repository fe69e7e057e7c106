"""A recommender over a small made-up run, there in milliseconds: item neighbours, then a ranker that turns lists round.

User 7 has seen everything, user 8 only an item without neighbours: neither can get a list. User 9 has no history.
"""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from belfry.dataset.candidates import Candidates
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS
from belfry.dataset.features import FeatureColumns, FeatureTables
from belfry.dataset.interactions import Interactions, SeenItems
from belfry.dataset.vocabulary import Vocabulary
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.two_stage import Stages
from belfry.ranking.base import Scores
from belfry.retrieval.models.item_knn import ItemKNN
from belfry.retrieval.popularity import Popularity

SEEN_ALL, SEEN_ODD, NO_HISTORY = 7, 8, 9  # user ids


class TurnRound:
    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        return -candidates.score


class SmallRecommender(Recommender):
    """Users 1, 2, ... (or "u1", "u2", ...) and items "a", "b", ..., the last of them without neighbours."""

    def __init__(self, *, n_users: int = 40, n_items: int = 12, text_ids: bool = False, name: str = "small-0") -> None:
        self.run = SimpleNamespace(name=name)
        self.users = Vocabulary.from_values([f"u{i}" if text_ids else i for i in range(1, n_users + 1)])
        self.items = Vocabulary.from_values([chr(ord("a") + i) for i in range(n_items)])
        watched = np.random.default_rng(0).random((n_users + 1, n_items + 1)) < 0.4
        watched[:, [0, n_items]] = watched[0] = watched[[SEEN_ODD, NO_HISTORY]] = False
        watched[SEEN_ODD, n_items] = watched[SEEN_ALL, 1:] = True
        user_id = [f"u{i}" if text_ids else i for i in range(n_users + 1)]
        user, item = np.nonzero(watched)
        user_num = self.users.numbers(pa.array([user_id[i] for i in user]))
        history = Interactions(self.users, self.items, user_num, item.astype(np.int32))
        self.features = FeatureTables(history, FeatureColumns(), FeatureColumns())
        self.stages = Stages(
            features=self.features,
            towers=None,
            vectors=None,
            retriever=ItemKNN().fit(history.select(user != SEEN_ALL), self.features, seed=0),
            popularity=Popularity().fit(history, self.features, seed=0),
            cold_weight=0.0,
            ranker=TurnRound(),
            n_candidates=n_items,
        )
        self.event_weights = DEFAULT_EVENT_WEIGHTS
        self._titles = pa.nulls(n_items, pa.string())
        self._nothing_seen = SeenItems.nothing(n_users)
