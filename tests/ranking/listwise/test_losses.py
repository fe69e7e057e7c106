"""Losses over candidate lists: values by hand and by loops, signs of gradients, what padding and order change."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belfry.layers.backend import tf
from belfry.ranking.listwise.losses import LAMBDA_DEPTH, list_loss

OBJECTIVES = ("binary", "squared", "bpr", "hinge", "softmax", "approx_ndcg", "lambda")
LN_2 = np.log(2)

# A list of 3 rows and one of 5, with one positive and with three of unlike worth.
LOGITS = np.array([[0.2, 0.4, -0.1, 0, 0], [0.1, -0.3, 0.25, 0.05, -0.2]], np.float32)
LABELS = np.array([[0, 0, 1, 0, 0], [0.5, 0, 0, 1, 0.25]], np.float32)
PRESENT = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.bool_)


def loss_of(objective: str, logits: np.ndarray, labels: np.ndarray, present: np.ndarray) -> float:
    loss = list_loss(objective, tf.constant(logits), tf.constant(labels), tf.constant(present))
    assert loss.shape == ()
    return float(loss)


def loss_of_one(objective: str, logits: np.ndarray, labels: np.ndarray) -> float:
    """Of one list without padding, both [n_rows]."""
    logits, labels = (np.asarray(values, np.float32)[np.newaxis] for values in (logits, labels))
    return loss_of(objective, logits, labels, np.ones(logits.shape, np.bool_))


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("binary", (0.126928 + 1.313262 + 0.693147) / 3),  # log(1 + e^-2), log(1 + e), log 2
        ("squared", (1 + 1 + 0) / 3),
        ("bpr", (0.313262 + 0.126928) / 2),  # log(1 + e^-1), log(1 + e^-2)
        ("hinge", 0),  # leads of 1 and 2
        ("softmax", 0.407606),  # -log(e^2 / (e^2 + e + 1))
        ("approx_ndcg", 1 - LN_2 / np.log(2 + 0.268941 + 0.119203)),  # rank 1 + sigmoid(-1) + sigmoid(-2)
        ("lambda", 0.313262 * (1 - 0.630930) + 0.126928 * (1 - 0.5)),  # discounts 1, 1 / log2(3), 1 / 2
    ],
)
def test_a_positive_above_two_negatives_by_hand(objective: str, expected: float) -> None:
    assert loss_of_one(objective, [2, 1, 0], [1, 0, 0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("binary", (0.126928 + 1.313262 + 0.693147) / 3),
        ("squared", (1 + 1 + 1) / 3),
        ("bpr", (0.313262 + 1.313262) / 2),  # leads of 1 and -1
        ("hinge", (0 + 2) / 2),
        ("softmax", (0.407606 + 2.407606) / 2),
        # Ranks 1 + sigmoid(-1) + sigmoid(-2) and 1 + sigmoid(1) + sigmoid(2), at best 1 and 2.
        ("approx_ndcg", 1 - (LN_2 / np.log(2.388144) + LN_2 / np.log(3.611856)) / (1 + 0.630930)),
        ("lambda", (0.313262 * (1 - 0.630930) + 1.313262 * (0.630930 - 0.5)) / 2),
    ],
)
def test_a_negative_between_two_positives_by_hand(objective: str, expected: float) -> None:
    assert loss_of_one(objective, [2, 1, 0], [1, 0, 1]) == pytest.approx(expected, abs=1e-5)


def by_loops(objective: str) -> float:
    """Of the lists above, row by row and pair by pair, as the docstring of `list_loss` has it."""
    rows, pairs, shares, ndcgs, lambdas = [], [], [], [], []
    for logits, labels, present in zip(LOGITS.astype(float), LABELS.astype(float), PRESENT, strict=True):
        logits, labels = logits[present], labels[present]
        discount = 1 / np.log2(np.argsort(np.argsort(-logits)) + 2)
        swaps = 0.0
        for s, y in zip(logits, labels, strict=True):
            rows.append(np.log1p(np.exp(s)) - y * s if objective == "binary" else (s - y) ** 2)
            shares.append((y, -np.log(np.exp(s) / np.exp(logits).sum())))
        for (i, j), lead in zip(
            product(range(len(logits)), repeat=2), np.subtract.outer(logits, logits).flat, strict=True
        ):
            if labels[i] > 0 and labels[j] == 0:
                pairs.append(max(0, 1 - lead) if objective == "hinge" else np.log1p(np.exp(-lead)))
                swaps += np.log1p(np.exp(-lead)) * labels[i] * abs(discount[i] - discount[j])
        lambdas.append(swaps / max(labels.sum(), 1))
        rank = 0.5 + (1 / (1 + np.exp(np.subtract.outer(logits, logits)))).sum(axis=1)
        ideal = (np.sort(labels)[::-1] / np.log2(np.arange(len(labels)) + 2)).sum()
        ndcgs.append((labels / np.log2(rank + 1)).sum() / ideal)
    weights, costs = np.array(shares).T
    return {
        "binary": np.mean(rows),
        "squared": np.mean(rows),
        "bpr": np.mean(pairs),
        "hinge": np.mean(pairs),
        "softmax": np.average(costs, weights=weights),
        "approx_ndcg": 1 - np.mean(ndcgs),
        "lambda": np.mean(lambdas),
    }[objective]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_two_padded_lists_of_graded_labels_by_loops(objective: str) -> None:
    assert loss_of(objective, LOGITS, LABELS, PRESENT) == pytest.approx(by_loops(objective), rel=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_raise_positives_lower_negatives_and_leave_padding_alone(objective: str) -> None:
    logits = tf.Variable(LOGITS)
    labels = (LABELS > 0).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = list_loss(objective, logits, tf.constant(labels), tf.constant(PRESENT))
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[labels > 0] < 0).all()
    is_negative = PRESENT & (labels == 0)
    if objective == "squared":  # it draws a negative to 0 from either side
        assert (np.sign(gradient[is_negative]) == np.sign(LOGITS[is_negative])).all()
    else:
        assert (gradient[is_negative] > 0).all()
    assert (gradient[~PRESENT] == 0).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("value", [-1e6, 0, 1e6])
def test_padding_changes_nothing(objective: str, value: float) -> None:
    wider = [(0, 0), (0, 3)]
    logits = np.pad(np.where(PRESENT, LOGITS, value), wider, constant_values=value).astype(np.float32)
    padded = loss_of(objective, logits, np.pad(LABELS, wider), np.pad(PRESENT, wider))
    assert padded == pytest.approx(loss_of(objective, LOGITS, LABELS, PRESENT), rel=1e-5)


@st.composite
def lists_with_order(draw):
    """logits, labels, both [n_lists, n_rows], no two logits of a list alike, and an order of lists and one of rows."""
    n_lists, n_rows = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    steps = st.lists(st.integers(-40, 40), min_size=n_rows, max_size=n_rows, unique=True)
    logits = np.array([draw(steps) for _ in range(n_lists)], np.float32) / 8
    grades = st.lists(st.sampled_from([0, 0.25, 1]), min_size=n_rows - 2, max_size=n_rows - 2)
    labels = np.array([[0, 1, *draw(grades)] for _ in range(n_lists)], np.float32)
    return logits, labels, draw(st.permutations(range(n_lists))), draw(st.permutations(range(n_rows)))


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(deadline=None, max_examples=30)
@given(lists_with_order())
def test_the_order_of_lists_and_of_rows_changes_nothing(objective: str, case) -> None:
    logits, labels, lists, rows = case
    present = np.ones(logits.shape, np.bool_)
    turned = loss_of(objective, logits[lists][:, rows], labels[lists][:, rows], present)
    assert turned == pytest.approx(loss_of(objective, logits, labels, present), rel=1e-4, abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(lists_with_order())
def test_approx_ndcg_of_scores_far_apart_is_one_less_ndcg(case) -> None:
    logits, labels, _, _ = case
    rank = np.argsort(np.argsort(-logits, axis=1), axis=1) + 1
    dcg, ideal = (
        (values / np.log2(place + 1)).sum(axis=1)
        for values, place in ((labels, rank), (-np.sort(-labels, axis=1), np.arange(1, logits.shape[1] + 1)))
    )
    loss = loss_of("approx_ndcg", 200 * logits, labels, np.ones(logits.shape, np.bool_))
    assert loss == pytest.approx(1 - (dcg / ideal).mean(), abs=1e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_logits_far_out_give_a_finite_loss_and_gradient(objective: str) -> None:
    logits = tf.Variable(LOGITS * 1e4)
    with tf.GradientTape() as tape:
        loss = list_loss(objective, logits, tf.constant(LABELS), tf.constant(PRESENT))
    assert np.isfinite(loss.numpy())
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


def test_lambda_sees_no_swap_below_its_depth() -> None:
    """Two negatives on both sides of the depth, the positive far below it."""
    logits = tf.Variable(np.linspace(1, 0, LAMBDA_DEPTH + 10, dtype=np.float32)[np.newaxis])
    labels = np.zeros(logits.shape, np.float32)
    labels[0, -1] = 1
    with tf.GradientTape() as tape:
        loss = list_loss("lambda", logits, tf.constant(labels), tf.fill(labels.shape, True))
    gradient = tape.gradient(loss, logits).numpy()[0]
    assert (gradient[:LAMBDA_DEPTH] > 0).all()
    assert (gradient[LAMBDA_DEPTH:-1] == 0).all()
    assert gradient[-1] < 0


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="no objective 'listnet'"):
        loss_of("listnet", LOGITS, LABELS, PRESENT)
