"""What the weight of the expected rating does to lists: how many watches they find, and how these were rated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates, order_by
from belfry.dataset.prepare import Data
from belfry.dataset.split import Split
from belfry.dataset.vocabulary import Numbers
from belfry.evaluation.metrics import PerUser, hits, lists_of, ndcg
from belfry.pipeline.config import load_config
from belfry.pipeline.training.train import train
from belfry.ranking.multitask.model import MultitaskModel
from belfry.ranking.utility import standard_scores, utility
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever

PRESETS = ("default", "multitask")
PRESET_SEEDS = range(3)
UTILITIES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
N, N_CANDIDATES = 10, 200


@dataclass(frozen=True)
class TradeOff:
    """Lists of 10, by test user: [n_utilities, n_users] each."""

    ndcg: npt.NDArray[np.float64]
    rating_sums: npt.NDArray[np.float64]  # true ratings of what was recommended and watched
    rated: npt.NDArray[np.float64]  # how many those are


def trade_off(model: MultitaskModel, data: Data, split: Split, shares: Sequence[float] = UTILITIES) -> TradeOff:
    """The same candidates of one model, put in order by each utility."""
    features, users, rating = data.features(split.train), np.unique(split.test.user_num), split.train.rating
    assert rating is not None
    items = features.history.items.all_numbers[1:]
    retriever = IndexedRetriever(model, ExactIndex.build(model.encode_candidates(items, features), items))
    candidates = retriever.retrieve(users, features, top_k=N_CANDIDATES, exclude=split.train.seen_items)
    watch, expected = standard_scores(candidates), model.expected(candidates, features)
    spread = float(np.nanstd(rating))
    rows = []
    for share in shares:
        score = utility(watch, expected, (share,), (spread,))
        rows.append(judge_order(order_by(candidates, score, top_k=N), users, split))
    return TradeOff(*(np.stack(column) for column in zip(*rows, strict=True)))


def judge_preset(data: Data, split: Split, preset: str, *, seed: int) -> TradeOff:
    """The final lists of a preset, gate included, trained on the train part alone; one row."""
    config = load_config(preset, holdout="random")
    trained = train(replace(data, interactions=split.train), config, holdout="random", seed=seed)
    users = np.unique(split.test.user_num)
    lists = trained.two_stage.lists(
        users, n=N, stage="final", exclude=split.train.seen_items, blocked=np.zeros(0, np.int32)
    )
    return TradeOff(*(column[np.newaxis] for column in judge_order(lists, users, split)))


def judge_order(lists: Candidates, users: Numbers, split: Split) -> tuple[PerUser, PerUser, PerUser]:
    """[n_users] each: NDCG@10, the sum of the true ratings of hits, and their number."""
    later = split.test.seen_items
    right = hits(lists_of(lists, N), users, later)
    ratings = np.zeros((len(split.test.users) + 1, len(split.test.items) + 1))
    assert split.test.rating is not None
    ratings[split.test.user_num, split.test.item_num] = np.nan_to_num(split.test.rating)
    true = ratings[lists.user_num, lists.item_num]
    sums = np.bincount(lists.row_user, true, len(users))
    return ndcg(right, later.count(users)), sums, np.bincount(lists.row_user, true > 0, len(users))
