"""DeepRanker: networks of any kind, trained side by side on rows drawn of candidate lists; and their student."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt

from belfry.layers.backend import Tensor, keras, tf
from belfry.layers.export import export_onnx
from belfry.layers.model import CONFIG_FILE, Epoch, Model, Progress, no_progress
from belfry.layers.steps.loop import Batch, Losses, Nest, Stack, Trainer
from belfry.layers.training import train_epochs
from belfry.layers.weights import WEIGHTS_FILE, load_weights, save_weights
from belfry.ranking.base import Scores
from belfry.ranking.example_store import ExampleSource
from belfry.ranking.examples import Examples
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.config import NetworkRankerConfig
from belfry.ranking.listwise.ensemble import Ensemble, Student
from belfry.ranking.listwise.losses import list_loss
from belfry.ranking.listwise.networks import Sizes, empty_inputs
from belfry.ranking.listwise.serving import GRAPH_FILE
from belfry.ranking.registry import KINDS

log = logging.getLogger(__name__)

_BYTES_PER_BLOCK = 1 << 26  # of features that are handed to the graph at once
_ROWS_PER_BLOCK = 1 << 16  # that are scored at once
_STUDENT_LISTS = 8  # in a training step of the student: what it learns has no noise, so many small steps teach it more


class DeepRanker(Model[NetworkRankerConfig, Ensemble]):
    """One logit for each candidate, of the only member or of the student of several."""

    def fit(
        self,
        examples: ExampleSource,
        *,
        seed: int,
        validation: Examples,
        n_users: int,
        n_items: int,
        progress: Progress = no_progress,
    ) -> Self:
        """Train from nothing on `examples` and return itself.

        Members keep the weights of the evaluation with the best NDCG@10 on `validation`; several then teach a student.
        Users and items are numbered from 1 to `n_users` and `n_items`.

        Raises:
            DivergenceError: a feature or the loss is not finite; the message names it.
        """
        config = self.config
        self.names = examples.names
        self._sizes = Sizes(len(self.names), n_users, n_items)
        statistics = _Statistics.of(examples)
        steps_of_epoch = -(-len(examples) // config.batch_lists)
        n_steps = int(np.clip(steps_of_epoch * config.epochs, config.min_steps, config.max_steps))
        n_epochs = -(-n_steps // steps_of_epoch)
        n_rows = min(config.rows_per_list or statistics.longest, statistics.longest)
        n_told = n_epochs * (2 if config.members > 1 else 1)
        keras.utils.set_random_seed(seed)

        def train(kind: type[Ensemble], losses: Losses, batch_lists: int, **how: Any) -> Sequence[Epoch]:
            """Answer from now on by a new network, trained by these losses; gives its curve."""
            self._learned = network = kind(config, self._sizes)
            network.adapt(statistics.mean, statistics.deviation)
            trainer = Trainer(kind(config, self._sizes), losses)
            trainer.start(network, rate=config.learning_rate, n_steps=-(-len(examples) // batch_lists) * n_epochs)
            run_epoch = _epochs(trainer, network, examples, batch_lists, n_rows, np.random.default_rng(seed))
            return train_epochs(network, run_epoch, n_epochs=n_epochs, **how)[1]

        def validate() -> float:
            return float(validation.ndcg(self.score_lists(validation.lists)).mean())

        self.curve = train(
            Ensemble,
            partial(_losses, config.objective),
            config.batch_lists,
            name="ranker",
            validate=validate,
            evaluate_every=max(1, n_epochs // config.evaluations),
            patience=config.evaluations + 1,
            progress=lambda done, _: progress(done, n_told),
        )
        if config.members > 1:
            train(
                Student,
                partial(_imitation, self.learned),
                _STUDENT_LISTS,
                name="ranker's student",
                progress=lambda done, _: progress(n_epochs + done, n_told),
            )
            log.info("ranker: student of %d members, validation %.4f", config.members, validate())
        return self

    def score_lists(self, lists: Lists) -> Scores:
        """[n_rows] float32 logits."""
        network, parts = self.learned, [np.zeros(0, np.float32)]
        for block in lists.blocks(_ROWS_PER_BLOCK):
            rows, present = lists.padded_rows(block)
            parts.append(network.mean_logit(lists.inputs(block, rows, present, network.reads)).numpy()[present])
        return np.concatenate(parts)

    def save(self, directory: Path) -> None:
        network = self.learned
        directory.mkdir(parents=True, exist_ok=True)
        config, sizes = self.config.model_dump(mode="json"), self._sizes._asdict()
        text = json.dumps({"config": config, "names": self.names, "sizes": sizes}, indent=2)
        (directory / CONFIG_FILE).write_text(text)
        save_weights(network, directory / WEIGHTS_FILE)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """What `save` wrote: built from its config, then filled with weights."""
        saved = json.loads((directory / CONFIG_FILE).read_text())
        config = KINDS[saved["config"]["kind"]].config.model_validate(saved["config"])
        model = cls(cast(NetworkRankerConfig, config))
        model.names, model._sizes = tuple(saved["names"]), Sizes(**saved["sizes"])
        model._learned = (Student if model.config.members > 1 else Ensemble)(model.config, model._sizes)
        load_weights(model._learned, directory / WEIGHTS_FILE)
        return model

    def export(self, directory: Path) -> None:
        """Write what answers as an ONNX graph; its inputs are those of `Lists.inputs` that the network reads."""
        network = self.learned
        example = empty_inputs(len(self.names), network.reads)
        export_onnx(network.mean_logit, example, directory / GRAPH_FILE, output="score")


class _Statistics(NamedTuple):
    """What is known of the lists before the first epoch."""

    mean: npt.NDArray[np.float32]  # [n_features]
    deviation: npt.NDArray[np.float32]  # [n_features]
    longest: int  # rows of a list

    @classmethod
    def of(cls, examples: ExampleSource) -> Self:
        """Raises as `Lists.check_finite`."""
        n_rows, total, squares, longest = 0, np.zeros(len(examples.names)), np.zeros(len(examples.names)), 0
        for block in examples.blocks(np.random.default_rng(0)):
            block.lists.check_finite()
            pairs = block.lists.pairs
            n_rows += len(pairs)
            total += pairs.sum(axis=0, dtype=np.float64)
            squares += np.einsum("ij,ij->j", pairs, pairs, dtype=np.float64)
            longest = max(longest, int(block.lists.lengths.max()))
        mean = total / n_rows
        deviation = np.sqrt(np.maximum(squares / n_rows - mean**2, 0))
        return cls(mean.astype(np.float32), deviation.astype(np.float32), longest)


def _losses(objective: str, network: Ensemble, batch: Batch, shared: Nest) -> tuple[Tensor, Tensor]:
    """The mean loss of the members, twice: it is what training lowers. Nothing is shared by the steps."""
    inputs, labels, present, log_weight = batch["lists"]
    logits = network(inputs, training=True)
    if objective == "softmax":
        logits += log_weight
    losses = [list_loss(objective, of_member, labels, present) for of_member in tf.unstack(logits)]
    loss = tf.add_n(losses) / len(losses)
    return loss, loss


def _imitation(teacher: Ensemble, student: Student, batch: Batch, shared: Nest) -> tuple[Tensor, Tensor]:
    """The mean square of how far the student's logits are from the teacher's mean ones, twice likewise."""
    inputs, _, present, _ = batch["lists"]
    differences = tf.boolean_mask(student.mean_logit(inputs) - teacher.mean_logit(inputs), present)
    loss = tf.reduce_mean(tf.square(differences))
    return loss, loss


def _epochs(
    trainer: Trainer,
    network: Ensemble,
    examples: ExampleSource,
    batch_lists: int,
    n_rows: int,
    generator: np.random.Generator,
) -> Callable[[], Iterator[float]]:
    """What trains for one epoch, gives the loss of each step, and leaves the weights in `network`."""
    steps_of_block = max(1, _BYTES_PER_BLOCK // (4 * batch_lists * n_rows * len(examples.names)))

    def run_epoch() -> Iterator[float]:
        for part in examples.blocks(generator):
            sampled, order = part.sample(n_rows, generator), generator.permutation(len(part))
            for first in range(0, len(order), batch_lists * steps_of_block):
                lists = order[first : first + batch_lists * steps_of_block]
                rows, present = sampled.rows[lists], sampled.present[lists]
                inputs = part.lists.inputs(lists, rows, present, network.reads)
                starts = np.append(np.arange(0, len(lists), batch_lists), len(lists))
                values = (inputs, sampled.labels[lists], present, sampled.log_weight[lists])
                block = {"lists": Stack(starts, values)}
                yield from trainer.run(block, seed=int(generator.integers(1 << 31)))
        trainer.copy_to(network)

    return run_epoch
