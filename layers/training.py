"""What the training of networks shares: a step, and the loop over epochs with evaluations and early stopping."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from belfry.dataset.errors import DivergenceError
from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.model import Epoch, Progress, no_progress

log = logging.getLogger(__name__)


def train_epochs(
    model: keras.Model,
    run_epoch: Callable[[], Iterable[Tensor]],
    *,
    name: str,
    n_epochs: int,
    loss_limit: float = np.inf,
    validate: Callable[[], float] | None = None,
    evaluate_every: int = 1,
    patience: int = 1,
    evaluate_start: bool = False,
    progress: Progress = no_progress,
) -> tuple[int, list[Epoch]]:
    """Train `model`; gives the epoch whose weights it holds at the end, and the training curve.

    Args:
        run_epoch: trains for an epoch, giving the loss of each step.
        name: of the model, for messages.
        n_epochs: at most.
        loss_limit: a step's loss at or above it is divergence.
        validate: higher is better; the weights of the best evaluation are kept. Without it training runs to its end.
        evaluate_every: epochs between evaluations; the last epoch always gets one.
        patience: evaluations without a gain before training stops.
        evaluate_start: before the first epoch too, so that training cannot end below its start.
        progress: told of (epochs done, epochs at most).

    Raises:
        DivergenceError: a loss is not finite or at the limit; the message names the step and the first weight that is
            not finite.
    """
    curve: list[Epoch] = []
    best_score, best_epoch = -np.inf, 0
    best_weights = [] if validate is None else model.get_weights()
    if validate is not None and evaluate_start:
        best_score = validate()
        curve.append(Epoch(0, None, best_score))
        log.info("%s: start, validation %.4f", name, best_score)
    for epoch in range(1, n_epochs + 1):
        losses = []
        for step, loss in enumerate(map(float, run_epoch()), 1):
            if not loss < loss_limit:
                raise DivergenceError(
                    f"{name}: loss is {loss:.4g} in epoch {epoch}, step {step}{_broken_weight(model)}; "
                    "lower its learning_rate"
                )
            losses.append(loss)
        progress(epoch, n_epochs)
        mean_loss = float(np.mean(losses)) if losses else None
        if validate is None or (epoch % evaluate_every and epoch != n_epochs):
            curve.append(Epoch(epoch, mean_loss, None))
            continue
        score = validate()
        curve.append(Epoch(epoch, mean_loss, score))
        log.info("%s: epoch %d, loss %.4f, validation %.4f", name, epoch, np.mean(losses), score)
        if score > best_score:
            best_weights.clear()  # before there are others: of a large catalogue they are most of the memory
            best_score, best_weights, best_epoch = score, model.get_weights(), epoch
        elif epoch - best_epoch >= patience * evaluate_every:
            break
    if validate is None:
        return n_epochs, curve
    model.set_weights(best_weights)
    return best_epoch, curve


def make_step(
    model: keras.Model, optimizer: keras.optimizers.Optimizer, losses: Callable[..., tuple[Tensor, Tensor]]
) -> Callable[..., Tensor]:
    """A compiled step of training, which takes what `losses` takes.

    `losses` gives two scalars: the loss, which the step gives back, and the objective, which it lowers.
    """

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(*batch: Any) -> Tensor:
        with tf.GradientTape() as tape:
            loss, objective = losses(*batch)
        weights = model.trainable_variables
        gradients = zip(tape.gradient(objective, weights), weights, strict=True)
        optimizer.apply_gradients([(tf.convert_to_tensor(own), weight) for own, weight in gradients if own is not None])
        return loss

    return step  # type: ignore[no-any-return]


def _broken_weight(model: keras.Model) -> str:
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            return f", and weight {weight.name!r} is not finite"
    return ""
