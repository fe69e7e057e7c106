"""Adam by raw operations, for steps inside a graph."""

import numpy as np

from belfry.layers.backend import Tensor, tf

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7
_DENSE_ROWS = 4096  # a longer weight is updated only in the rows that a step has read


class Adam:
    """Adam with cosine decay; a long weight changes only in rows with a gradient, so that a step costs what it reads.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015.
    """

    def __init__(self, weights: list[Tensor]) -> None:
        self._count = tf.Variable(0.0, trainable=False)  # of steps
        self._moments = {weight.ref(): (_zeros(weight), _zeros(weight)) for weight in weights}

    def restart(self) -> None:
        """Forget all steps."""
        self._count.assign(0.0)
        for weight, moments in self._moments.items():
            for moment in moments:
                moment.assign(tf.zeros_like(weight.deref()))

    def release(self) -> None:
        """Let go of the moments, which take twice the memory of the weights, until `restart`."""
        for moments in self._moments.values():
            for moment in moments:
                if moment.shape.rank:
                    moment.assign(tf.zeros([0, *moment.shape[1:]]))

    def apply(self, gradients: list[Tensor], weights: list[Tensor], rate: Tensor, n_steps: Tensor) -> None:
        """Take a step; a weight without a gradient (None) stays.

        Args:
            rate: learning rate at the start.
            n_steps: of the whole training, a scalar float32; the rate falls to 0 with them.
        """
        done = self._count.read_value()
        rate *= 0.5 * (1 + tf.cos(np.pi * tf.minimum(done / n_steps, 1.0)))
        powers = tf.pow(_BETA_1, done + 1), tf.pow(_BETA_2, done + 1)
        for gradient, weight in zip(gradients, weights, strict=True):
            if gradient is None:
                continue
            mean, square = self._moments[weight.ref()]
            if isinstance(gradient, tf.IndexedSlices) and weight.shape[0] > _DENSE_ROWS:
                _apply_to_rows(weight, mean, square, gradient, rate * tf.sqrt(1 - powers[1]) / (1 - powers[0]))
                continue
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=_BETA_1,
                beta2=_BETA_2,
                epsilon=_EPSILON,
                grad=tf.convert_to_tensor(gradient),
            )
        self._count.assign_add(1.0)


def _zeros(weight: Tensor) -> Tensor:
    """A variable of the same shape, which may come to have no rows."""
    shape = [None, *weight.shape[1:]] if weight.shape.rank else []
    return tf.Variable(tf.zeros_like(weight), trainable=False, shape=shape)


def _apply_to_rows(weight: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, rate: Tensor) -> None:
    """A step in the rows of a sparse gradient; `rate` is corrected for the bias of the moments."""
    rows, places = tf.unique(gradient.indices)
    slope = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    new_mean = _BETA_1 * tf.gather(mean, rows) + (1 - _BETA_1) * slope
    new_square = _BETA_2 * tf.gather(square, rows) + (1 - _BETA_2) * slope**2
    for moment, new in ((mean, new_mean), (square, new_square)):
        tf.raw_ops.ResourceScatterUpdate(resource=moment.handle, indices=rows, updates=new)
    update = rate * new_mean / (tf.sqrt(new_square) + _EPSILON)
    tf.raw_ops.ResourceScatterSub(resource=weight.handle, indices=rows, updates=update)
