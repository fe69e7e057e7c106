"""New items take the share of the first half of lists that retrieval gives them, behind the first ten places."""

import numpy as np
import pytest

from belfry.ranking.examples import Examples
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from belfry.ranking.listwise.new_item_places import HEAD, is_new, needed_shift, raise_new
from belfry.ranking.listwise.score_blend import RETRIEVAL, ScoreBlend

N_LISTS, N_ROWS, N_NEW = 200, 40, 6


def world() -> tuple[np.ndarray, Examples]:
    """Scores put the last six rows, which are new, last; retrieval puts two of them first. The first row is watched."""
    scores = np.tile(np.linspace(1, -1, N_ROWS), (N_LISTS, 1)) + np.random.default_rng(0).normal(0, 1e-3, (N_LISTS, 1))
    retrieval = scores.copy()
    retrieval[:, -2:] += 3
    popularity = np.ones_like(scores)
    popularity[:, -N_NEW:] = 0
    labels = np.zeros_like(scores)
    labels[:, 0] = 1
    lists = Lists(
        pairs=np.stack([popularity.ravel(), retrieval.ravel()], axis=1).astype(np.float32),
        names=("popularity", RETRIEVAL),
        items=np.arange(1, scores.size + 1, dtype=np.int32),
        starts=np.arange(0, scores.size + 1, N_ROWS),
        users=np.arange(1, N_LISTS + 1, dtype=np.int32),
        history=np.zeros((N_LISTS, HISTORY_LENGTH), np.int32),
    )
    return scores.ravel(), Examples(lists, labels.ravel().astype(np.float32), np.ones(N_LISTS, np.int64))


def orders(scores: np.ndarray) -> np.ndarray:
    """[n_lists, n_rows] rows of each list, best first."""
    return np.argsort(-scores.reshape(N_LISTS, N_ROWS), axis=1, kind="stable")


def test_the_first_half_holds_as_many_as_by_retrieval() -> None:
    scores, validation = world()
    lists, new = validation.lists, is_new(validation.lists)
    assert new is not None
    shift = needed_shift(scores, lists.column(RETRIEVAL), lists)
    half = orders(raise_new(scores, lists, new, shift))[:, : N_ROWS // 2]
    assert (orders(scores)[:, : N_ROWS // 2] < N_ROWS - N_NEW).all()
    assert (half >= N_ROWS - N_NEW).sum(axis=1).mean() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("shift", [0.5, 2.0, 100.0])
def test_the_first_ten_stay_and_so_does_the_order_of_the_rest(shift: float) -> None:
    scores, validation = world()
    new = is_new(validation.lists)
    assert new is not None
    before, after = orders(scores), orders(raise_new(scores, validation.lists, new, shift))
    assert (after[:, :HEAD] == before[:, :HEAD]).all()
    for kind in (new, ~new):
        kept = [[row for row in order if kind[row]] for order in (before[0].tolist(), after[0].tolist())]
        assert kept[0] == kept[1]


def test_a_new_item_that_the_ranker_puts_first_stays_there() -> None:
    scores, validation = world()
    scores[N_ROWS - 1] = 5
    new = is_new(validation.lists)
    assert new is not None
    assert raise_new(scores, validation.lists, new, 1.0)[N_ROWS - 1] == 5


def test_short_lists_are_the_rankers_alone() -> None:
    lists = world()[1].lists.select(np.arange(1))
    short = Lists(
        lists.pairs[-HEAD:], lists.names, lists.items[-HEAD:], np.array([0, HEAD]), lists.users, lists.history
    )
    scores, new = np.arange(HEAD, dtype=np.float64), is_new(short)
    assert new is not None
    assert raise_new(scores, short, new, 5.0).tolist() == scores.tolist()


def test_lists_without_new_items_are_left_alone() -> None:
    scores, validation = world()
    validation.lists.pairs[:, 0] = 1
    assert is_new(validation.lists) is None
    assert needed_shift(scores, validation.lists.column(RETRIEVAL), validation.lists) == 0
    assert ScoreBlend.fit(scores, validation, retrieval_weight=0.0).new_item_shift == 0


def test_a_blend_raises_new_items_and_probabilities_follow() -> None:
    scores, validation = world()
    fitted, new = ScoreBlend.fit(scores, validation, retrieval_weight=0.0), is_new(validation.lists)
    assert new is not None
    assert fitted.new_item_shift > 0
    raised = raise_new(scores, validation.lists, new, fitted.new_item_shift)
    np.testing.assert_allclose(fitted.blend(scores, validation.lists), raised)
    assert (
        np.diff(np.take_along_axis(fitted(scores, validation.lists).reshape(N_LISTS, -1), orders(raised), 1)) <= 0
    ).all()
