"""EASE: the promises, the limit, and recency."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.interactions import Interactions
from belfry.retrieval.models.ease import EASE, EASEConfig
from tests.contracts.checkerboard import checkerboard, features_of
from tests.contracts.retriever import TrainedRetrieverPromises


class TestEASEPromises(TrainedRetrieverPromises):
    answers_unknown = False  # no history, nothing to sum: popularity answers

    def unfitted(self) -> EASE:
        return EASE(EASEConfig(l2=1.0))


class TestEASEWithRecencyPromises(TestEASEPromises):
    def unfitted(self) -> EASE:
        return EASE(EASEConfig(l2=1.0, half_life=5))


def test_a_catalogue_above_the_limit_is_refused_in_words() -> None:
    board = checkerboard()
    with pytest.raises(InputError, match=r"ease: 12 items are above ease's max_items=10.*leave this source out"):
        EASE(EASEConfig(max_items=10)).fit(board.history, board.features, seed=0)


def test_recency_without_times_names_the_column() -> None:
    board = checkerboard()
    history = Interactions(board.history.users, board.history.items, board.history.user_num, board.history.item_num)
    with pytest.raises(InputError, match="timestamp_s"):
        EASE(EASEConfig(half_life=5)).fit(history, features_of(history), seed=0)


@pytest.mark.parametrize("users", [[2], [2, 3]])
def test_weights_of_other_items_are_refused(users: list[int], tmp_path: Path) -> None:
    board = checkerboard()
    EASE(EASEConfig()).fit(board.history, board.features, seed=0).save(tmp_path)
    weights = np.load(tmp_path / "weights.npy")
    np.save(tmp_path / "weights.npy", weights[:-1, :-1])
    with pytest.raises(ArtifactError, match=r"ease: weights of the shape \(12, 12\), the run has 12 items"):
        EASE.load(tmp_path).retrieve(
            np.array(users, np.int32), board.features, top_k=3, exclude=board.history.seen_items
        )


@pytest.mark.parametrize("half_life", [None, 1.0])
def test_a_score_is_the_weighted_sum_over_the_history(half_life: float | None) -> None:
    board = checkerboard()
    model = EASE(EASEConfig(l2=1.0, half_life=half_life)).fit(board.history, board.features, seed=0)
    history = board.history.item_num[board.history.by_user.of(2)]
    recency = 0.5 ** np.arange(len(history))[::-1]
    weights = np.ones(len(history)) if half_life is None else recency / np.linalg.norm(recency)
    found = model.retrieve(np.array([2], np.int32), board.features, top_k=12, exclude=board.history.seen_items)
    np.testing.assert_allclose(found.score, weights @ model.learned["weights"][history][:, found.item_num], rtol=1e-4)


def test_weights_count_against_the_mean_of_their_user_for_one_as_for_many() -> None:
    board = checkerboard()
    history = replace(board.history, weight=1 + np.arange(len(board.history), dtype=np.float32) % 5)
    features = features_of(history)
    model = EASE(EASEConfig(l2=1.0)).fit(history, features, seed=0)
    all_of_them = model.retrieve(board.users, features, top_k=12, exclude=history.seen_items)
    scores = history.relative_matrix @ model.learned["weights"]
    users = board.users[all_of_them.row_user]
    np.testing.assert_allclose(all_of_them.score, scores[users, all_of_them.item_num], rtol=1e-5)
    alone = model.retrieve(board.users[4:5], features, top_k=12, exclude=history.seen_items)
    assert alone.score.tolist() == all_of_them.score[all_of_them.row_user == 4].tolist()
