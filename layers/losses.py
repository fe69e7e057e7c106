"""Losses over one row of candidates per query: logQ correction and sampled losses."""

from belfry.layers.backend import Tensor, tf
from belfry.layers.steps.noise import uniform

MASKED = -1e9  # a logit that adds nothing to a softmax; never used on a score that sorts a list
_EPSILON = 1e-9  # keeps divisions finite where no target or negative has any weight


def correct_for_sampling(logits: Tensor, log_q: Tensor) -> Tensor:
    """logits - log_q (logQ correction).

    Candidates that are often sampled as negatives would otherwise be pushed down too hard.

    Args:
        logits: [n_queries, n_candidates] float32, dot products, temperature already applied.
        log_q: [n_candidates] float32, natural log of the probability that the candidate is in the batch; <= 0.

    Returns:
        [n_queries, n_candidates] float32, rows and columns as in `logits`.

    Raises:
        ValueError: `log_q` does not have one entry per column of `logits`.

    Source: Yi et al., Sampling-bias-corrected neural modeling for large corpus item recommendations, RecSys 2019.
    """
    if not logits.shape[1:].is_compatible_with(log_q.shape):
        raise ValueError(f"log_q has shape {log_q.shape}, wanted one entry per column of logits {logits.shape}")
    return logits - log_q[tf.newaxis, :]


def keep_hardest(logits: Tensor, negative_weight: Tensor, n_negatives: int) -> Tensor:
    """`negative_weight`, set to 0 for all but the `n_negatives` highest scoring negatives of each query.

    Args:
        logits, negative_weight: [n_queries, n_candidates] float32.
    """
    scores = tf.where(negative_weight > 0, logits, MASKED)
    threshold = tf.math.top_k(scores, tf.minimum(n_negatives, tf.shape(scores)[1])).values[:, -1:]
    return tf.where(scores >= threshold, negative_weight, 0.0)


def sampled_loss(
    logits: Tensor,
    target_weight: Tensor,
    negative_weight: Tensor,
    *,
    objective: str,
    n_negatives: int = 1,
    margin: float = 1.0,
) -> Tensor:
    """Mean loss over the targets, by their weight; a scalar.

    With s the logit of a target t and s' that of a negative n of the same query, w their weights:

        softmax   -log(e^s / (sum over the query's targets of e^s + sum over its negatives of w_n e^s'))
        binary    -log sigmoid(s) + n_negatives * weighted mean over negatives of -log sigmoid(-s')
        bpr       mean over n of -log sigmoid(s - s')
        hinge     mean over n of max(0, margin - s + s')
        triplet   mean over n of max(0, margin + d^2 - d'^2), where s = -d^2 / 2 + constant of the query

    The last three sample `n_negatives` negatives for each query, with probabilities that go by weight.

    Args:
        logits: [n_queries, n_candidates] float32.
        target_weight: [n_queries, n_candidates] float32, 0 where there is no target; a row may hold several or none.
        negative_weight: [n_queries, n_candidates] float32, 0 where there is no negative: at the query's targets and at
            what else its user has watched.
        objective: one of the names above.

    Raises:
        ValueError: there is no such objective.

    Sources: Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009; Schroff et al.,
    FaceNet, CVPR 2015 (triplet).
    """
    if objective == "softmax":
        log_weight = tf.maximum(tf.math.log(negative_weight), MASKED)
        return softmax_over_candidates(tf.where(target_weight > 0, logits, logits + log_weight), target_weight)
    n_targets = tf.maximum(tf.reduce_sum(target_weight), _EPSILON)
    if objective == "binary":
        of_targets = tf.reduce_sum(target_weight * tf.nn.softplus(-logits)) / n_targets
        n_all = tf.maximum(tf.reduce_sum(negative_weight), _EPSILON)
        return of_targets + n_negatives * tf.reduce_sum(negative_weight * tf.nn.softplus(logits)) / n_all
    sampled, is_sampled = _sample_negatives(logits, negative_weight, n_negatives)
    places = tf.where(target_weight > 0)  # [n_targets, 2]
    difference = tf.gather_nd(logits, places)[:, tf.newaxis] - tf.gather(
        sampled, places[:, 0]
    )  # [n_targets, n_negatives]
    match objective:
        case "bpr":
            losses = tf.nn.softplus(-difference)
        case "hinge":
            losses = tf.nn.relu(margin - difference)
        case "triplet":
            losses = tf.nn.relu(margin - 2 * difference)
        case _:
            raise ValueError(f"no objective {objective!r}")
    counted = tf.gather(is_sampled, places[:, 0])
    mean = tf.reduce_sum(losses * counted, axis=1) / tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
    return tf.reduce_sum(mean * tf.gather_nd(target_weight, places)) / n_targets


def _sample_negatives(logits: Tensor, negative_weight: Tensor, n_negatives: int) -> tuple[Tensor, Tensor]:
    """Both [n_queries, n_negatives]: logits of distinct negatives sampled by weight, and 0 where a query has fewer.

    The negatives with the largest log(uniform) / weight are such a sample.

    Source: Efraimidis & Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    keys = tf.math.log(uniform(tf.shape(logits), minval=1e-7)) / tf.maximum(negative_weight, _EPSILON)
    keys = tf.where(negative_weight > 0, keys, MASKED * 1e9)
    places = tf.math.top_k(keys, tf.minimum(n_negatives, tf.shape(keys)[1])).indices
    is_sampled = tf.gather(tf.cast(negative_weight > 0, tf.float32), places, batch_dims=1)
    return tf.gather(logits, places, batch_dims=1), is_sampled


def softmax_over_candidates(logits: Tensor, target_weight: Tensor) -> Tensor:
    """Mean over targets of -log softmax(logits), by their weight; a scalar. A row may hold several targets or none.

    Args:
        logits: [n_queries, n_candidates] float32.
        target_weight: [n_queries, n_candidates] float32, 0 where there is no target.
    """
    of_query = tf.reduce_sum(target_weight, axis=1, keepdims=True)
    shares = target_weight / tf.maximum(of_query, _EPSILON)
    losses = tf.nn.softmax_cross_entropy_with_logits(labels=tf.stop_gradient(shares), logits=logits)
    return tf.reduce_sum(of_query[:, 0] * losses) / tf.maximum(tf.reduce_sum(of_query), _EPSILON)
