"""The systems of the experiment, and what each is judged by."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from belfry.dataset.candidates import Candidates
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.split import Split
from belfry.dataset.vocabulary import Numbers
from belfry.evaluation.metrics import PerUser, hits, lists_of, ndcg, recall
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.model import MultitaskModel
from belfry.retrieval.index.exact import ExactIndex
from belfry.retrieval.indexed import IndexedRetriever
from benchmarks.transfer.gains import Errors
from benchmarks.transfer.peers import BIAS_L2, SVD_SETTINGS, Predict, Ratings, fit_biases, fit_svd, tuned

RATING_ONLY, BIASES, SVD, SEQUENTIAL, JOINT = SYSTEMS = ("rating only", "biases", "SVD", "sequential", "joint")
RATINGS = (1.0, 5.0)  # the range, in MovieLens 100K and in the generated world
PEERS = SYSTEMS[:3]  # know no watch without a rating
CONFIGS = {
    RATING_ONLY: MultitaskConfig(watch_weight=0),
    SEQUENTIAL: MultitaskConfig(schedule="sequential"),
    JOINT: MultitaskConfig(),
}


@dataclass(frozen=True)
class Lists:
    """How good the lists of towers are, by test user."""

    recall_100: PerUser
    ndcg_10: PerUser


def keep_ratings(history: Interactions, share: float, *, seed: int) -> Interactions:
    """The same watches, with a `share` of the ratings, drawn at random; a smaller share is part of a larger one."""
    assert history.rating is not None
    rated = np.random.default_rng(seed).permutation(np.flatnonzero(~np.isnan(history.rating)))
    rating = np.full_like(history.rating, np.nan)
    kept = rated[: max(2, round(len(rated) * share))]
    rating[kept] = history.rating[kept]
    return replace(history, rating=rating)


def rated_rows(history: Interactions) -> Interactions:
    assert history.rating is not None
    return history.select(~np.isnan(history.rating))


@dataclass(frozen=True)
class Fitted:
    """Every system on one history."""

    predict: dict[str, Predict]
    joint: MultitaskModel


def fit_all(data: Data, history: Interactions, watched: MultitaskModel, *, seed: int) -> Fitted:
    """`watched` has learned its watches already, for the sequential system; its labels are learned anew."""
    rated = rated_rows(history)
    assert rated.rating is not None
    known = Ratings(rated.user_num, rated.item_num, rated.rating)
    joint = MultitaskModel(CONFIGS[JOINT]).fit(history, data.features(history), seed=seed)
    alone = MultitaskModel(CONFIGS[RATING_ONLY]).fit(rated, data.features(rated), seed=seed)
    sequential = watched.fit_labels(history, data.features(history), seed=seed)
    predict = {
        RATING_ONLY: of_model(alone, data, rated),
        BIASES: tuned(fit_biases, BIAS_L2, known, seed=seed),
        SVD: tuned(fit_svd, SVD_SETTINGS, known, seed=seed),
        SEQUENTIAL: of_model(sequential, data, history),
        JOINT: of_model(joint, data, history),
    }
    return Fitted(predict, joint)


def of_model(model: MultitaskModel, data: Data, history: Interactions) -> Predict:
    features = data.features(history)

    def predict(user_num: Numbers, item_num: Numbers) -> npt.NDArray[np.float64]:
        order = np.argsort(user_num, kind="stable")
        predicted = np.empty(len(order))
        predicted[order] = model.expected(as_candidates(user_num[order], item_num[order]), features)[:, 0]
        return predicted

    return predict


def as_candidates(user_num: Numbers, item_num: Numbers) -> Candidates:
    """Pairs as lists; `user_num` never falls."""
    users, row_user = np.unique(user_num, return_inverse=True)
    nothing = np.zeros(len(item_num))
    return Candidates(
        users,
        row_user.astype(np.int64),
        item_num,
        nothing.astype(np.float32),
        nothing.astype(np.int32),
        nothing.astype(np.int8),
        ("test",),
    )


def judge(predict: Predict, test: Interactions, truth: npt.NDArray[np.float64]) -> Errors:
    """Against `truth` [n_test], predictions being cut to the range of ratings."""
    predicted = np.clip(predict(test.user_num, test.item_num), *RATINGS)
    n_users = len(test.users) + 1
    error = predicted - truth
    pairs = np.full(n_users, np.nan)
    for user in np.unique(test.user_num):
        rows = test.by_user.of(user)
        above = truth[rows][:, np.newaxis] > truth[rows]
        if above.any():
            lead = predicted[rows][:, np.newaxis] - predicted[rows]
            pairs[user] = ((lead > 0) + (lead == 0) / 2)[above].mean()
    return Errors(
        np.bincount(test.user_num, error**2, n_users),
        np.bincount(test.user_num, np.abs(error), n_users),
        np.bincount(test.user_num, minlength=n_users).astype(np.float64),
        pairs,
    )


def judge_lists(model: MultitaskModel, data: Data, split: Split) -> Lists:
    """recall@100 and NDCG@10 of the towers, seen items removed, over the whole catalogue."""
    features, later = data.features(split.train), split.test.seen_items
    items, users = features.history.items.all_numbers[1:], np.unique(split.test.user_num)
    retriever = IndexedRetriever(model, ExactIndex.build(model.encode_candidates(items, features), items))
    found = retriever.retrieve(users, features, top_k=100, exclude=split.train.seen_items)
    right, n_relevant = hits(lists_of(found, 100), users, later), later.count(users)
    return Lists(recall(right, n_relevant), ndcg(right[:, :10], n_relevant))
