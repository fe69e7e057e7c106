"""Losses over one row of candidates per query: sampling correction, and what tells targets from negatives."""

from belfry.layers.backend import Tensor, tf

MASKED = -1e9  # a logit no softmax sees; used before the softmax only, never on a score that sorts a list


def correct_for_sampling(logits: Tensor, log_q: Tensor) -> Tensor:
    """Lower each logit by how likely its candidate was to be drawn.

    Candidates that turn up often as negatives would otherwise be pushed down too hard.

    Args:
        logits: [n_queries, n_candidates] float32, dot products, temperature already applied.
        log_q: [n_candidates] float32, natural log of the chance that the candidate is in the batch; <= 0.

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
    """`negative_weight`, 0 for all but the `n_negatives` negatives of each query that score highest.

    Args:
        logits, negative_weight: [n_queries, n_candidates] float32.
    """
    scores = tf.where(negative_weight > 0, logits, MASKED)
    worst_kept = tf.math.top_k(scores, tf.minimum(n_negatives, tf.shape(scores)[1])).values[:, -1:]
    return tf.where(scores >= worst_kept, negative_weight, 0.0)


def sampled_loss(
    logits: Tensor,
    target_weight: Tensor,
    negative_weight: Tensor,
    *,
    objective: str,
    n_negatives: int = 1,
    margin: float = 1.0,
) -> Tensor:
    """How badly targets stand out from negatives, a scalar: the mean over targets by their weight.

    Args:
        logits: [n_queries, n_candidates] float32; under "triplet" minus half the squared distances, up to a constant of
            the query.
        target_weight: [n_queries, n_candidates] float32, how much a target counts, 0 at all others; a row may hold
            several targets or none.
        negative_weight: [n_queries, n_candidates] float32, how much a negative counts, 0 at all others: a query's
            targets and what else it has watched.
        objective: "softmax": -log of a target's share among itself, the query's other targets and its negatives.
            "binary": -log sigmoid(s) of a target, and `n_negatives` times the mean of -log sigmoid(-s) of negatives.
            The others compare a target with `n_negatives` drawn negatives of its query, the chance to be drawn going by
            weight: "bpr" -log sigmoid(s - s'); "hinge" max(0, margin - s + s'); "triplet"
            max(0, margin + d^2 - d'^2).

    Raises:
        ValueError: there is no such objective.

    Sources: Rendle et al., BPR: Bayesian personalized ranking from implicit feedback, UAI 2009; Schroff et al.,
    FaceNet, CVPR 2015 (triplet).
    """
    if objective == "softmax":
        log_weight = tf.maximum(tf.math.log(negative_weight), MASKED)
        return softmax_over_candidates(tf.where(target_weight > 0, logits, logits + log_weight), target_weight)
    n_targets = tf.maximum(tf.reduce_sum(target_weight), 1e-9)
    if objective == "binary":
        missed = tf.reduce_sum(target_weight * tf.nn.softplus(-logits)) / n_targets
        n_all = tf.maximum(tf.reduce_sum(negative_weight), 1e-9)
        return missed + n_negatives * tf.reduce_sum(negative_weight * tf.nn.softplus(logits)) / n_all
    drawn, is_drawn = _draw(logits, negative_weight, n_negatives)
    places = tf.where(target_weight > 0)  # [n_targets, 2]
    lead = tf.gather_nd(logits, places)[:, tf.newaxis] - tf.gather(drawn, places[:, 0])  # [n_targets, n_negatives]
    match objective:
        case "bpr":
            losses = tf.nn.softplus(-lead)
        case "hinge":
            losses = tf.nn.relu(margin - lead)
        case "triplet":
            losses = tf.nn.relu(margin - 2 * lead)
        case _:
            raise ValueError(f"no objective {objective!r}")
    counted = tf.gather(is_drawn, places[:, 0])
    mean = tf.reduce_sum(losses * counted, axis=1) / tf.maximum(tf.reduce_sum(counted, axis=1), 1.0)
    return tf.reduce_sum(mean * tf.gather_nd(target_weight, places)) / n_targets


def _draw(logits: Tensor, negative_weight: Tensor, n_negatives: int) -> tuple[Tensor, Tensor]:
    """Both [n_queries, n_negatives]: logits of distinct negatives drawn by weight, and 0 where a query has fewer.

    Source: Efraimidis & Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    luck = tf.math.log(tf.random.uniform(tf.shape(logits), minval=1e-7)) / tf.maximum(negative_weight, 1e-9)
    keys = tf.where(negative_weight > 0, luck, MASKED * 1e9)
    places = tf.math.top_k(keys, tf.minimum(n_negatives, tf.shape(keys)[1])).indices
    is_drawn = tf.gather(tf.cast(negative_weight > 0, tf.float32), places, batch_dims=1)
    return tf.gather(logits, places, batch_dims=1), is_drawn


def softmax_over_candidates(logits: Tensor, target_weight: Tensor) -> Tensor:
    """Mean over targets, by their weight, of -log softmax(logits), a scalar; a row may hold several targets or none.

    Args:
        logits: [n_queries, n_candidates] float32.
        target_weight: [n_queries, n_candidates] float32, 0 at all that is no target.
    """
    log_shares = tf.where(target_weight > 0, tf.nn.log_softmax(logits, axis=1), 0.0)
    return -tf.reduce_sum(target_weight * log_shares) / tf.maximum(tf.reduce_sum(target_weight), 1e-9)
