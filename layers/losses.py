"""Losses over one row of candidates per query: sampling correction, masks, softmax over positives."""

from layers.backend import Tensor, tf

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


def mask_accidental_hits(logits: Tensor, is_hit: Tensor) -> Tensor:
    """Take candidates that a query has watched, but that are not its targets, out of the softmax.

    Args:
        logits: [n_queries, n_candidates] float32.
        is_hit: [n_queries, n_candidates] bool.
    """
    return tf.where(is_hit, MASKED, logits)


def softmax_over_candidates(logits: Tensor, is_target: Tensor) -> Tensor:
    """Mean over all targets of -log softmax(logits), a scalar; a row may hold several targets or none.

    Args:
        logits: [n_queries, n_candidates] float32.
        is_target: [n_queries, n_candidates] float32, 1 at targets.
    """
    log_shares = tf.nn.log_softmax(logits, axis=1)
    n_targets = tf.maximum(tf.reduce_sum(is_target), 1.0)
    return -tf.reduce_sum(tf.where(is_target > 0, log_shares, 0.0)) / n_targets
