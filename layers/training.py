"""The loop over epochs that every network shares: divergence, evaluations on validation data, early stopping."""

import logging
from collections.abc import Callable, Iterable

import numpy as np

from belfry.dataset.errors import DivergenceError
from belfry.layers.backend import Tensor, keras

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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Train `model` and give the epoch whose weights it holds at the end.

    Args:
        run_epoch: trains for an epoch, giving the loss of each step.
        name: of the model, for messages.
        n_epochs: at most.
        loss_limit: a step's loss at or above it is divergence.
        validate: higher is better; the weights of the best evaluation are kept. Without it training runs to its end.
        evaluate_every: epochs between evaluations; the last epoch always gets one.
        patience: evaluations without a gain before training stops.
        progress: told of (epochs done, epochs at most).

    Raises:
        DivergenceError: a loss is not finite or at the limit; the message names the step and the first weight that is
            not finite.
    """
    best_score, best_weights, best_epoch = -np.inf, model.get_weights(), 0
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
        if validate is None or (epoch % evaluate_every and epoch != n_epochs):
            continue
        score = validate()
        log.info("%s: epoch %d, loss %.4f, validation %.4f", name, epoch, np.mean(losses), score)
        if score > best_score:
            best_score, best_weights, best_epoch = score, model.get_weights(), epoch
        elif epoch - best_epoch >= patience * evaluate_every:
            break
    if validate is None:
        return n_epochs
    model.set_weights(best_weights)
    return best_epoch


def _broken_weight(model: keras.Model) -> str:
    for weight in model.weights:
        if not np.isfinite(weight.numpy()).all():
            return f", and weight {weight.name!r} is not finite"
    return ""
