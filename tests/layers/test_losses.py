"""The signs and sizes of the losses, with shapes that all differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from belfry.layers.backend import tf
from belfry.layers.losses import correct_for_sampling, keep_hardest, sampled_loss, softmax_over_candidates

moderate = st.floats(-20, 20, width=32, allow_subnormal=False)  # TensorFlow takes those as 0


@st.composite
def logits_and_log_q(draw):
    """logits [n_queries, n_candidates] and log_q [n_candidates], rarely of equal lengths."""
    n_queries, n_candidates = draw(st.integers(1, 5)), draw(st.integers(2, 7))
    logits = draw(arrays(np.float32, (n_queries, n_candidates), elements=moderate))
    log_q = draw(arrays(np.float32, n_candidates, elements=st.floats(-18, 0, width=32)))
    return logits, log_q


def softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@settings(deadline=None)
@given(logits_and_log_q())
def test_every_logit_rises_by_minus_its_own_log_q(case) -> None:
    logits, log_q = case
    corrected = correct_for_sampling(tf.constant(logits), tf.constant(log_q)).numpy()
    assert corrected.shape == logits.shape
    assert (corrected >= logits).all()
    for column in range(logits.shape[1]):
        np.testing.assert_allclose(corrected[:, column] - logits[:, column], -log_q[column], atol=1e-5)


@settings(deadline=None)
@given(logits_and_log_q())
def test_the_softmax_weighs_each_candidate_by_one_over_its_chance(case) -> None:
    """An item drawn with chance q stands for 1 / q like it."""
    logits, log_q = case
    corrected = softmax(correct_for_sampling(tf.constant(logits), tf.constant(log_q)).numpy().astype(np.float64))
    weighed = np.exp(logits.astype(np.float64) - log_q)
    np.testing.assert_allclose(corrected, weighed / weighed.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-12)


def test_equal_chances_change_no_share() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    corrected = correct_for_sampling(tf.constant(logits), tf.fill([5], np.float32(np.log(0.2)))).numpy()
    np.testing.assert_allclose(softmax(corrected), softmax(logits), rtol=1e-5)


def test_a_tail_target_pays_less_for_a_head_item_in_the_batch() -> None:
    """Hand-worked: equal logits, target drawn with chance 1/10, the other always: shares 10/11 and 1/11."""
    logits, log_q = tf.zeros([1, 2]), tf.constant(np.log([0.1, 1.0]).astype(np.float32))
    corrected = correct_for_sampling(logits, log_q)
    as_target = [softmax_over_candidates(corrected, tf.constant([row])).numpy() for row in ([1.0, 0.0], [0.0, 1.0])]
    np.testing.assert_allclose(as_target, -np.log([10 / 11, 1 / 11]), rtol=1e-6)


def test_correcting_makes_a_sampled_softmax_agree_with_the_whole_one() -> None:
    """The sum over a sample, each item weighed by 1 / q, expects the sum over the catalogue."""
    generator = np.random.default_rng(0)
    logits = generator.standard_normal(50)
    chance = np.clip(generator.random(50), 0.05, 1)
    sums = []
    for _ in range(2000):
        drawn = np.flatnonzero(generator.random(50) < chance)
        sampled = tf.constant(logits[np.newaxis, drawn].astype(np.float32))
        log_q = tf.constant(np.log(chance[drawn]).astype(np.float32))
        sums.append(np.exp(correct_for_sampling(sampled, log_q).numpy()).sum())
    assert np.mean(sums) == pytest.approx(np.exp(logits).sum(), rel=0.03)


@pytest.mark.parametrize("wrong", [1, 2, 4])
def test_log_q_of_another_length_is_refused(wrong: int) -> None:
    message = rf"log_q has shape \({wrong},\), wanted one entry per column of logits \(2, 3\)"
    with pytest.raises(ValueError, match=message):
        correct_for_sampling(tf.zeros([2, 3]), tf.zeros([wrong]))


OBJECTIVES = ["softmax", "binary", "bpr", "hinge", "triplet"]


def some_case(seed: int = 1) -> tuple[tf.Variable, np.ndarray, np.ndarray]:
    """logits [3, 5]; targets of unlike weight; what is neither target nor negative: (0, 1), (2, 3)."""
    logits = tf.Variable(np.random.default_rng(seed).standard_normal((3, 5)).astype(np.float32))
    targets, negatives = np.zeros((3, 5), np.float32), np.ones((3, 5), np.float32)
    targets[0, 0], targets[0, 2], targets[2, 4] = 1, 2, 0.5
    negatives[targets > 0] = negatives[0, 1] = negatives[2, 3] = 0
    return logits, targets, negatives


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_raise_targets_lower_negatives_and_leave_the_rest_alone(objective: str) -> None:
    logits, targets, negatives = some_case()
    with tf.GradientTape() as tape:
        loss = sampled_loss(logits, targets, negatives, objective=objective, n_negatives=9, margin=10.0)
    gradient = tape.gradient(loss, logits).numpy()
    assert loss.shape == ()
    assert (gradient[targets > 0] < 0).all()
    has_target = targets.any(axis=1)
    counted = has_target if objective != "binary" else np.ones(3, np.bool_)  # it lowers negatives without a target too
    assert (gradient[counted][negatives[counted] > 0] > 0).all()
    assert (gradient[(targets == 0) & (negatives == 0)] == 0).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls_as_targets_rise_above_negatives(objective: str) -> None:
    logits, targets, negatives = some_case()
    near, far = (
        sampled_loss(logits + lead * (targets > 0), targets, negatives, objective=objective, n_negatives=9).numpy()
        for lead in (0.0, 50.0)
    )
    assert far < near


def test_sampled_losses_against_hand_worked_values() -> None:
    """One query: target logit 2, negatives 0 and 1, one more item that is neither."""
    logits = tf.constant([[2.0, 0.0, 1.0, 7.0]])
    targets, negatives = tf.constant([[1.0, 0, 0, 0]]), tf.constant([[0.0, 1, 1, 0]])
    leads = np.array([2.0, 1.0])
    expected = {
        "softmax": np.log(1 + np.exp(-leads).sum()),
        "binary": np.log1p(np.exp(-2)) + 4 * np.log1p(np.exp([0.0, 1.0])).mean(),
        "bpr": np.log1p(np.exp(-leads)).mean(),
        "hinge": np.maximum(0, 1.5 - leads).mean(),
        "triplet": np.maximum(0, 1.5 - 2 * leads).mean(),
    }
    for objective, value in expected.items():
        found = sampled_loss(logits, targets, negatives, objective=objective, n_negatives=4, margin=1.5).numpy()
        assert found == pytest.approx(value, rel=1e-5), objective


def test_a_negative_of_double_weight_stands_for_two() -> None:
    logits, targets = tf.constant([[2.0, 0.5, 0.5]]), tf.constant([[1.0, 0.0, 0.0]])
    twice = sampled_loss(logits, targets, tf.constant([[0.0, 1.0, 1.0]]), objective="softmax").numpy()
    heavy = sampled_loss(logits, targets, tf.constant([[0.0, 2.0, 0.0]]), objective="softmax").numpy()
    assert heavy == pytest.approx(twice, rel=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_without_targets_or_negatives_the_loss_is_finite(objective: str) -> None:
    logits, targets, negatives = some_case()
    for left, right in ((targets, 0 * negatives), (0 * targets, negatives), (0 * targets, 0 * negatives)):
        assert np.isfinite(sampled_loss(logits, left, right, objective=objective, n_negatives=3).numpy())


def test_sampled_negatives_go_by_weight() -> None:
    """The second negative weighs nine times the first, and one is drawn: its logit decides nine times of ten."""
    tf.random.set_seed(0)
    n_queries = 4000
    logits = tf.tile([[0.0, 0.0, -1.0]], [n_queries, 1])
    targets, negatives = (np.tile(row, (n_queries, 1)).astype(np.float32) for row in ([1, 0, 0], [0, 1, 9]))
    loss = sampled_loss(logits, targets, negatives, objective="hinge", n_negatives=1, margin=1.0).numpy()
    assert loss == pytest.approx(0.1, abs=0.02)  # margin 1 is missed by 1 where the first is drawn, by 0 otherwise


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="no objective 'best'"):
        sampled_loss(*some_case(), objective="best")


def test_only_the_hardest_negatives_are_kept() -> None:
    logits = tf.constant([[3.0, 1.0, 2.0, 9.0], [0.0, 5.0, 4.0, 1.0]])
    negatives = tf.constant([[1.0, 1.0, 2.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    kept = keep_hardest(logits, negatives, 2).numpy()
    assert kept.tolist() == [[1, 0, 2, 0], [1, 0, 0, 0]]


def test_softmax_against_hand_worked_values() -> None:
    """Shares [1/4, 3/4] and [1/6, 5/6]; three targets in all, so the mean is over three."""
    logits = tf.constant(np.log([[1.0, 3.0], [1.0, 5.0]]).astype(np.float32))
    loss = softmax_over_candidates(logits, tf.constant([[1.0, 1.0], [0.0, 1.0]])).numpy()
    assert loss == pytest.approx(-(np.log(1 / 4) + np.log(3 / 4) + np.log(5 / 6)) / 3, rel=1e-6)


def test_a_row_without_a_target_adds_nothing() -> None:
    logits = np.random.default_rng(3).standard_normal((3, 5)).astype(np.float32)
    is_target = np.zeros((3, 5), np.float32)
    is_target[0, 2] = is_target[1, 4] = 1
    both = softmax_over_candidates(tf.constant(logits), tf.constant(is_target)).numpy()
    without = softmax_over_candidates(tf.constant(logits[:2]), tf.constant(is_target[:2])).numpy()
    assert both == pytest.approx(without, rel=1e-6)


def test_no_target_at_all_is_no_loss() -> None:
    assert softmax_over_candidates(tf.ones([2, 3]), tf.zeros([2, 3])).numpy() == 0
