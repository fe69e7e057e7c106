"""The signs and sizes of the losses, with shapes that all differ."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from layers.backend import tf
from layers.losses import correct_for_sampling, mask_accidental_hits, softmax_over_candidates

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


def test_an_accidental_hit_has_no_share_and_others_keep_theirs() -> None:
    logits = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    is_hit = np.zeros((3, 4), np.bool_)
    is_hit[0, 1] = is_hit[2, 3] = is_hit[2, 0] = True
    shares = softmax(mask_accidental_hits(tf.constant(logits), tf.constant(is_hit)).numpy())
    assert (shares[is_hit] == 0).all()
    expected = np.where(is_hit, 0, np.exp(logits))
    np.testing.assert_allclose(shares, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


def test_no_gradient_reaches_a_masked_logit() -> None:
    logits = tf.Variable(np.random.default_rng(2).standard_normal((2, 3)).astype(np.float32))
    is_hit = np.array([[False, True, False], [False, False, False]])
    is_target = tf.constant([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    with tf.GradientTape() as tape:
        loss = softmax_over_candidates(mask_accidental_hits(logits, tf.constant(is_hit)), is_target)
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[is_hit] == 0).all()
    assert (gradient[~is_hit] != 0).all()


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
