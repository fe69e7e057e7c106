"""Balancing: how the gradients of several tasks on the weights that they share become one."""

from collections.abc import Sequence

from belfry.layers.backend import Tensor, keras, tf


class Uncertainty(keras.layers.Layer):  # type: ignore[misc]
    """Weights that tasks learn themselves, exp(-s), at the price of s: a loss that stays high is believed less.

    Source: Kendall et al., Multi-task learning using uncertainty to weigh losses, CVPR 2018.
    """

    def __init__(self, n_tasks: int) -> None:
        super().__init__(name="uncertainty")
        self.log_variance = self.add_weight(name="log_variance", shape=(n_tasks,), initializer="zeros")

    def call(self, losses: Sequence[Tensor]) -> list[Tensor]:
        """The losses [] each, weighed and with their price."""
        return [tf.exp(-s) * loss + s for s, loss in zip(tf.unstack(self.log_variance), losses, strict=True)]


def pcgrad(gradients: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Each task's gradients, without what points against another task's.

    Tasks are taken in the order given rather than in a random one, so that equal seeds give equal weights whatever
    else draws.

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
            conflict = tf.minimum(_dot(kept, other), 0.0) / tf.maximum(_dot(other, other), 1e-12)
            kept = [mine - conflict * theirs for mine, theirs in zip(kept, other, strict=True)]
        projected.append(kept)
    return projected


def norm(gradients: Sequence[Tensor]) -> Tensor:
    """Length of all gradients as one vector, a scalar."""
    return tf.sqrt(_dot(gradients, gradients))


def _dot(ones: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
    return tf.add_n([tf.reduce_sum(one * other) for one, other in zip(ones, others, strict=True)])
