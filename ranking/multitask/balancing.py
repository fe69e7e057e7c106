"""Balancing: how the losses or gradients of several tasks on shared weights become one."""

from collections.abc import Sequence

from belfry.layers.backend import Tensor, keras, tf

_EPSILON = 1e-12  # keeps the division finite for a task without a gradient


class Uncertainty(keras.layers.Layer):  # type: ignore[misc]
    """exp(-s_t) L_t + s_t for each task's loss L_t, with learned s_t: at the optimum the weight is 1 / L_t.

    Source: Kendall et al., Multi-task learning using uncertainty to weigh losses, CVPR 2018.
    """

    def __init__(self, n_tasks: int) -> None:
        super().__init__(name="uncertainty")
        self.log_variance = self.add_weight(name="log_variance", shape=(n_tasks,), initializer="zeros")

    def call(self, losses: Sequence[Tensor]) -> list[Tensor]:
        """The weighted losses, each a scalar."""
        return [tf.exp(-s) * loss + s for s, loss in zip(tf.unstack(self.log_variance), losses, strict=True)]


def pcgrad(gradients: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Each task's gradient g_i, without its part against another task's.

    For each other task j in turn, if g_i . g_j < 0: g_i <- g_i - (g_i . g_j / |g_j|^2) g_j. Tasks are taken in the
    order given rather than a random one, so that equal seeds give equal weights.

    Args:
        gradients: per task, one tensor per weight; the weights are the same.

    Source: Yu et al., Gradient surgery for multi-task learning (PCGrad), NeurIPS 2020.
    """
    projected = []
    for number, own in enumerate(gradients):
        kept = list(own)
        for other_number, other in enumerate(gradients):
            if other_number == number:
                continue
            conflict = tf.minimum(_dot(kept, other), 0.0) / tf.maximum(_dot(other, other), _EPSILON)
            kept = [mine - conflict * theirs for mine, theirs in zip(kept, other, strict=True)]
        projected.append(kept)
    return projected


def norm(gradients: Sequence[Tensor]) -> Tensor:
    """Length of all gradients as one vector, a scalar."""
    return tf.sqrt(_dot(gradients, gradients))


def _dot(ones: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    return tf.add_n([tf.reduce_sum(one * other) for one, other in zip(ones, others, strict=True)])
