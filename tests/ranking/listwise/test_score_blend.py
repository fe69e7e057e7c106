"""ScoreBlend: retrieval's weight is chosen where it helps, scores become probabilities, and order is kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from belfry.ranking.base import Scores
from belfry.ranking.examples import Examples
from belfry.ranking.lists import HISTORY_LENGTH, Lists
from belfry.ranking.listwise.score_blend import RETRIEVAL, WEIGHTS, ScoreBlend, Utility


def examples_of(retrieval: np.ndarray, labels: np.ndarray) -> Examples:
    """Lists of equal length; both [n_lists, n_rows]."""
    n_lists, n_rows = labels.shape
    lists = Lists(
        pairs=np.stack([np.zeros(labels.size), retrieval.ravel()], axis=1).astype(np.float32),
        names=("other", RETRIEVAL),
        items=np.arange(1, labels.size + 1, dtype=np.int32),
        starts=np.arange(0, labels.size + 1, n_rows),
        users=np.arange(1, n_lists + 1, dtype=np.int32),
        history=np.zeros((n_lists, HISTORY_LENGTH), np.int32),
    )
    return Examples(lists, labels.ravel().astype(np.float32), labels.sum(axis=1).astype(np.int64))


def world(*, score_noise: float, retrieval_noise: float, seed: int = 0) -> tuple[Scores, Examples]:
    """Scores [400 * 20], in steps of 50, and standard scores of retrieval; the two best of each list are positives."""
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=(400, 20))
    scores, retrieval = (truth + noise * generator.normal(size=truth.shape) for noise in (score_noise, retrieval_noise))
    labels = np.argsort(np.argsort(-truth, axis=1), axis=1) < 2
    standard = (retrieval - retrieval.mean(axis=1, keepdims=True)) / retrieval.std(axis=1, keepdims=True)
    return (50 * scores + 1000).ravel().astype(np.float32), examples_of(standard, labels)


def test_retrieval_that_adds_nothing_weighs_nothing() -> None:
    scores, noise = world(score_noise=0.0, retrieval_noise=1e6)
    assert ScoreBlend.fit(scores, noise, retrieval_weight=None).retrieval_weight == 0
    scores, same = world(score_noise=0.0, retrieval_noise=0.0)  # of equal weights the smallest
    assert ScoreBlend.fit(scores, same, retrieval_weight=None).retrieval_weight == 0


def test_retrieval_that_knows_more_weighs_most() -> None:
    scores, validation = world(score_noise=1e6, retrieval_noise=0.0)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=None)
    assert fitted.retrieval_weight == pytest.approx(WEIGHTS[-1] * scores.std(), rel=1e-5)


def test_two_that_know_something_are_blended() -> None:
    """Equal noise: about equal weights are best, and better than either alone."""
    scores, validation = world(score_noise=0.7, retrieval_noise=0.7)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=None)
    assert 0.5 <= fitted.retrieval_weight / scores.std() <= 1.5
    fresh_scores, fresh = world(score_noise=0.7, retrieval_noise=0.7, seed=1)
    blended = fresh.ndcg(fitted(fresh_scores, fresh.lists)).mean()
    assert blended > fresh.ndcg(fresh_scores).mean() + 0.02
    assert blended > fresh.ndcg(fresh.lists.column(RETRIEVAL)).mean() + 0.02


def test_a_weight_that_is_given_is_taken() -> None:
    scores, validation = world(score_noise=0.0, retrieval_noise=1e6)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=0.4)
    assert fitted.retrieval_weight == pytest.approx(0.4 * scores.std(), rel=1e-5)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.02, -3.0), (30.0, 40.0)])
def test_calibration_finds_a_known_logistic_truth(slope: float, intercept: float) -> None:
    """On scores whose logit has mean -2 and deviation 1.5, by 20,000 rows."""
    generator = np.random.default_rng(0)
    logits = generator.normal(-2, 1.5, (1000, 20))
    labels = generator.random(logits.shape) < expit(logits)
    scores = ((logits - intercept) / slope).ravel().astype(np.float32)
    fitted = ScoreBlend.fit(scores, examples_of(np.zeros(logits.shape), labels), retrieval_weight=0.0)
    assert fitted.calibration.slope == pytest.approx(slope, rel=0.05)
    np.testing.assert_allclose(
        fitted.calibration.slope * scores + fitted.calibration.intercept, logits.ravel(), atol=0.25
    )
    probabilities = fitted(scores, examples_of(np.zeros(logits.shape), labels).lists)
    order = np.argsort(probabilities)
    for tenth in np.array_split(order, 10):  # the reliability table
        assert probabilities[tenth].mean() == pytest.approx(labels.ravel()[tenth].mean(), abs=0.02)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_a_higher_score_is_no_lower_probability(values: list[float], seed: int) -> None:
    scores = np.array(values, np.float32)
    labels = np.zeros((1, len(scores)))
    labels[0, np.random.default_rng(seed).permutation(len(scores))[: len(scores) // 2]] = 1
    validation = examples_of(np.zeros(labels.shape), labels)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=None)
    assert fitted.calibration.slope > 0
    assert np.isfinite([fitted.calibration.slope, fitted.calibration.intercept, fitted.retrieval_weight]).all()
    probabilities = fitted(scores, validation.lists)
    assert probabilities.dtype == np.float32
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert (np.diff(probabilities[np.argsort(scores)]) >= 0).all()


@pytest.mark.parametrize("score_noise", [0.0, 0.5, 5.0])
def test_the_order_of_lists_is_that_of_the_blend(score_noise: float) -> None:
    scores, validation = world(score_noise=score_noise, retrieval_noise=0.5)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=None)
    blend = scores + fitted.retrieval_weight * validation.lists.column(RETRIEVAL)
    probabilities = fitted(scores, validation.lists)
    for start, stop in zip(validation.lists.starts[:-1], validation.lists.starts[1:], strict=True):
        assert (
            np.argsort(-probabilities[start:stop], kind="stable").tolist()
            == np.argsort(-blend[start:stop], kind="stable").tolist()
        )


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7])
def test_scores_that_are_all_alike(value: float) -> None:
    """A ranker that says nothing: retrieval decides, and probabilities are the share of positives."""
    _, validation = world(score_noise=0.0, retrieval_noise=0.0)
    scores = np.full(len(validation.labels), value, np.float32)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=0.0)
    np.testing.assert_allclose(fitted(scores, validation.lists), 0.1, atol=0.01)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=None)
    assert validation.ndcg(fitted(scores, validation.lists)).mean() > 0.99


def test_nobody_asked() -> None:
    scores, validation = world(score_noise=0.5, retrieval_noise=0.5)
    nothing = validation.lists.select(np.zeros(0, np.int64))
    assert ScoreBlend.fit(scores, validation, retrieval_weight=None)(scores[:0], nothing).shape == (0,)


def test_expected_labels_count_by_their_share_beside_the_log_odds_of_a_watch() -> None:
    scores, validation = world(score_noise=0.5, retrieval_noise=0.5)
    labels = np.random.default_rng(2).normal(3, 1, len(scores)).astype(np.float32)
    validation.lists.pairs[:, 0] = labels
    watch = ScoreBlend.fit(scores, validation, retrieval_weight=0.2)
    log_odds = watch.calibration.slope * watch.blend(scores, validation.lists)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=0.2, utilities=[Utility("other", 0.4, 2.0)])
    utility = 0.6 * log_odds + 0.4 * labels / 2
    np.testing.assert_allclose(fitted.blend(scores, validation.lists) * 0.6 * watch.calibration.slope, utility)
    probabilities = fitted(scores, validation.lists)
    assert probabilities.mean() == pytest.approx((validation.labels > 0).mean(), abs=0.01)
    assert np.argsort(-probabilities)[:100].tolist() == np.argsort(-utility)[:100].tolist()


def test_labels_without_a_share_change_nothing() -> None:
    scores, validation = world(score_noise=0.5, retrieval_noise=0.5)
    fitted = ScoreBlend.fit(scores, validation, retrieval_weight=None, utilities=[Utility("absent", 0.0, 1.0)])
    assert fitted == ScoreBlend.fit(scores, validation, retrieval_weight=None)
