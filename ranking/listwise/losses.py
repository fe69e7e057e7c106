"""Losses over candidate lists: pointwise, pairwise and listwise. All are means, so that sizes are comparable."""

import numpy as np

from belfry.layers.backend import Tensor, tf
from belfry.layers.losses import MASKED, softmax_over_candidates

LAMBDA_DEPTH = 30  # ranks below it have no discount under "lambda"
_EPSILON = 1e-9  # keeps NDCG finite for a list without positives


def list_loss(objective: str, logits: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """The mean loss, a scalar. With s the logits, y the labels, d(r) = 1 / log2(1 + r) and r the ranks in a list:

        binary        mean over rows of -y log sigmoid(s) - (1 - y) log sigmoid(-s)
        squared       mean over rows of (s - y)^2
        bpr           mean over pairs of -log sigmoid(s - s')
        hinge         mean over pairs of max(0, 1 - s + s')
        softmax       mean over positives, weighted by y, of -log(e^s / sum over the list of e^s')
        approx_ndcg   1 - NDCG with the ranks r = 1/2 + sum over the list of sigmoid(s' - s)
        lambda        mean over lists of sum over pairs of -y |d(r) - d(r')| log sigmoid(s - s') / sum of y, where
                      d is 0 beyond rank 30

    A pair is a positive (s, y > 0) and a negative (s', y = 0) of one list.

    Args:
        objective: one of the names above.
        logits: [n_lists, longest] float32.
        labels: [n_lists, longest] float32 from 0 to 1, 0 = negative.
        present: [n_lists, longest] bool, False where padded.

    Raises:
        ValueError: there is no such objective.

    Sources: Rendle et al., BPR, UAI 2009; Cao et al., Learning to rank: from pairwise to listwise, ICML 2007; Qin et
    al., A general approximation framework for direct optimization of information retrieval measures, 2010; Burges,
    From RankNet to LambdaRank to LambdaMART, 2010.
    """
    match objective:
        case "binary":
            losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
            return tf.reduce_mean(tf.boolean_mask(losses, present))
        case "squared":
            return tf.reduce_mean(tf.boolean_mask((logits - labels) ** 2, present))
        case "softmax":
            return softmax_over_candidates(tf.where(present, logits, MASKED), labels)
    difference = logits[:, :, tf.newaxis] - logits[:, tf.newaxis, :]  # [n_lists, longest, longest] row less column
    is_pair = (labels > 0)[:, :, tf.newaxis] & ((labels == 0) & present)[:, tf.newaxis, :]
    match objective:
        case "bpr":
            return tf.reduce_mean(tf.nn.softplus(-tf.boolean_mask(difference, is_pair)))
        case "hinge":
            return tf.reduce_mean(tf.nn.relu(1 - tf.boolean_mask(difference, is_pair)))
        case "approx_ndcg":
            return _approx_ndcg(difference, labels, present)
        case "lambda":
            discount = _discount(_ranks(logits, present)) * tf.cast(_ranks(logits, present) <= LAMBDA_DEPTH, tf.float32)
            change = tf.abs(discount[:, :, tf.newaxis] - discount[:, tf.newaxis, :]) * labels[:, :, tf.newaxis]
            losses = tf.where(is_pair, tf.nn.softplus(-difference) * change, 0.0)
            return tf.reduce_mean(tf.reduce_sum(losses, [1, 2]) / tf.maximum(tf.reduce_sum(labels, 1), 1.0))
    raise ValueError(f"no objective {objective!r}")


def _approx_ndcg(difference: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    ahead = tf.nn.sigmoid(-difference) * tf.cast(present, tf.float32)[:, tf.newaxis, :]
    rank = 0.5 + tf.reduce_sum(ahead, axis=2)  # a row is half ahead of itself
    gain = tf.reduce_sum(labels * _discount(rank), axis=1)
    best = tf.sort(labels, axis=1, direction="DESCENDING")
    ideal = tf.reduce_sum(best * _discount(tf.range(1, tf.shape(labels)[1] + 1)), axis=1)
    return 1 - tf.reduce_mean(gain / tf.maximum(ideal, _EPSILON))


def _ranks(logits: Tensor, present: Tensor) -> Tensor:
    """[n_lists, longest] int32, 1 for the highest of a list."""
    order = tf.argsort(tf.where(present, logits, MASKED), axis=1, direction="DESCENDING", stable=True)
    return tf.argsort(order, axis=1) + 1


def _discount(rank: Tensor) -> Tensor:
    return np.log(2) / tf.math.log1p(tf.cast(rank, tf.float32))
