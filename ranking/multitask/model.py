"""MultitaskModel: towers and ranker in one; plentiful watches train the encoders that scarce labels share."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np

from belfry.dataset.arrays import dot_products
from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.vocabulary import ItemNums, UserNums
from belfry.layers.backend import keras, tf
from belfry.layers.export import export_onnx
from belfry.layers.model import CONFIG_FILE, Model, Progress, no_progress
from belfry.layers.steps.adam import Adam
from belfry.layers.steps.loop import Stack, StepLoop
from belfry.layers.towers.item_encoder import impute_new_items, shift
from belfry.layers.towers.network import Embeddings
from belfry.layers.towers.start import start_from_watches
from belfry.layers.towers.watch_task import WatchTraining
from belfry.layers.training import train_epochs
from belfry.layers.weights import WEIGHTS_FILE, load_weights, save_weights
from belfry.ranking.base import Matrix, Scores
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.heads import TASK_QUERIES_FILE, Heads
from belfry.ranking.multitask.label_batches import labelled_batches
from belfry.ranking.multitask.network import MultitaskNetwork, make_step
from belfry.ranking.multitask.ridge_head_layer import LabelScale
from belfry.ranking.utility import utility

_QUERY_TOWER_FILE = "query_tower.onnx"  # as `belfry.retrieval.onnx_towers` reads it
_LOG_FILE = "training.json"
_STEPS_PER_BLOCK = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochLog:
    """Means over the steps of an epoch, the watch first, then the tasks in order; 0 for what is not learned in it."""

    names: tuple[str, ...]
    losses: tuple[float, ...]
    gradient_norms: tuple[float, ...]  # of each task's weighted loss, on the shared weights


class MultitaskModel(Model[MultitaskConfig, MultitaskNetwork]):
    """Meets both protocols, `Towers` of retrieval and `Ranker`; `ridge_head` has the formula of the tasks."""

    def __init__(self, config: MultitaskConfig) -> None:
        super().__init__(config)
        self.epochs_trained = 0
        self.epoch_logs: list[EpochLog] = []
        self._kept_heads: tuple[FeatureTables, Heads] | None = None

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse data that cannot be learned from: no user with two events, or a task without two different labels.

        Raises:
            InputError: names the column, what it holds and what to do.
        """
        self.config.check(history)
        for task in self.config.tasks:
            LabelScale.of(history, task)

    def fit(
        self,
        history: Interactions,
        features: FeatureTables,
        *,
        seed: int,
        validate: Callable[["MultitaskModel"], float] | None = None,
        epochs: int | None = None,
        progress: Progress = no_progress,
    ) -> Self:
        """Train from scratch and return itself.

        Args:
            history: events to learn from; `features` belong to the same time.
            validate: evaluation of the towers while they learn watches, higher is better; the best weights are kept.
            epochs: stop learning watches after this many; `epochs_trained` of an earlier fit.
            progress: told of (epochs done, epochs at most).

        Raises:
            InputError: the data cannot be learned from, see `check`.
            DivergenceError: a loss is not finite, or many times that of equal scores.
        """
        self.check(history, features)
        keras.utils.set_random_seed(seed)
        self.epoch_logs = []
        self._start(history, features)
        watches, generator = WatchTraining(history, features, self.config), np.random.default_rng(seed)
        if self.config.item_start == "svd":
            start_from_watches(self.learned.towers, history, seed=seed)
        for encoder in self.learned.towers.item_encoders:
            encoder.hide_ids(watches.sampler.has_events)
        is_joint = self.config.schedule == "joint" and self.config.watch_weight > 0
        n_epochs = min(epochs or watches.n_epochs, watches.n_epochs) if self.config.watch_weight else 0
        n_all = n_epochs + (0 if is_joint else watches.n_epochs)
        self.epochs_trained, self.curve = train_epochs(
            self.learned,
            self._epochs(history, features, watches, generator, watch=True, labels=is_joint),
            name="multitask",
            n_epochs=n_epochs,
            loss_limit=watches.loss_limit,
            validate=None if validate is None else lambda: validate(self),
            evaluate_every=watches.evaluate_every,
            patience=self.config.patience,
            progress=lambda done, _: progress(done, n_all),
        )
        self._impute_new_items(features)
        if not is_joint:
            self.fit_labels(history, features, seed=seed, progress=lambda done, _: progress(n_epochs + done, n_all))
        return self

    def fit_labels(
        self, history: Interactions, features: FeatureTables, *, seed: int, progress: Progress = no_progress
    ) -> Self:
        """Learn the tasks from scratch on top of the trained encoders (sequential transfer), and return itself.

        The encoders are trained too, at `finetune_rate` of their learning rate; at 0 the towers stay as they are.

        Args:
            history: the labels to learn from, over the users and items that the encoders were fitted on.
        """
        self.check(history, features)
        keras.utils.set_random_seed(seed)
        trained = self.learned.encoder_weights
        self._start(history, features)
        for weight, value in zip(self.learned.encoder_weights, trained, strict=True):
            weight.assign(value)
        watches = WatchTraining(history, features, self.config)
        train_epochs(
            self.learned,
            self._epochs(history, features, watches, np.random.default_rng(seed), watch=False, labels=True),
            name="multitask",
            n_epochs=watches.n_epochs,
            progress=progress,
        )
        if self.config.finetune_rate:
            self._impute_new_items(features)
        return self

    def encode_queries(self, users: UserNums, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size + 1] of the watch task."""
        return self.learned.towers.encode_queries(users, features)

    def encode_candidates(self, items: ItemNums, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size + 1] of the watch task."""
        return self.learned.towers.encode_candidates(items, features)

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] the utility of each candidate by this model alone.

        Its watch score is log P(watch) under a softmax over all items, up to a constant of the user.
        """
        queries = self.encode_queries(candidates.users, features)
        items, place = np.unique(candidates.item_num, return_inverse=True)
        vectors = self.encode_candidates(items, features)
        watch = dot_products(queries, candidates.row_user, vectors, place)
        spreads = [task.label_scale.scale for task in self.learned.tasks]
        expected = self.expected(candidates, features)
        return utility(watch / self.config.temperature, expected, self.config.utilities, spreads)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Of the tasks."""
        return self.config.task_columns

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, n_tasks] each task's expected label."""
        return self.heads(features).expected(candidates, features, self._task_queries(candidates.users, features))

    def heads(self, features: FeatureTables) -> Heads:
        """The serving form of the tasks; computed once for the same features."""
        if self._kept_heads is None or self._kept_heads[0] is not features:
            network = self.learned
            heads = Heads(self.config, network.tables(features), network.category_shares.numpy())
            self._kept_heads = features, heads
        return self._kept_heads[1]

    def save(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        scales = [asdict(task.label_scale) for task in self.learned.tasks]
        text = {"config": self.config.model_dump(mode="json"), "scales": scales}
        (directory / CONFIG_FILE).write_text(json.dumps(text, indent=2))
        (directory / _LOG_FILE).write_text(json.dumps([vars(entry) for entry in self.epoch_logs]))
        save_weights(self.learned, directory / WEIGHTS_FILE)

    @classmethod
    def load(cls, directory: Path, features: FeatureTables) -> Self:
        """What `save` wrote: built from its config, then filled with weights; `features` give the shapes."""
        saved = json.loads((directory / CONFIG_FILE).read_bytes())
        model = cls(MultitaskConfig.model_validate(saved["config"]))
        scales = [LabelScale(**scale) for scale in saved["scales"]]
        model._learned = MultitaskNetwork(features, model.config, scales)
        load_weights(model._learned, directory / WEIGHTS_FILE)
        return model

    def export(self, directory: Path, features: FeatureTables) -> None:
        """Write the serving form: the query tower, the graph of the tasks' queries, and the arrays of `Heads`.

        Both graphs read what `TowerNetwork.traced_query` names. Their outputs are `query` [n, embedding_size + 1] and
        `task_queries` [n, n_tasks * embedding_size].
        """
        directory.mkdir(parents=True, exist_ok=True)
        query, example, tables = self.learned.towers.traced_query(features)
        export_onnx(query, example, directory / _QUERY_TOWER_FILE, output="query", tables=tables)
        tasks, example, tables = self.learned.towers.traced_query(features, self.learned.task_queries)
        export_onnx(tasks, example, directory / TASK_QUERIES_FILE, output="task_queries", tables=tables)
        self.heads(features).save(directory)

    def _start(self, history: Interactions, features: FeatureTables) -> None:
        """Make new weights for these labels."""
        scales = [LabelScale.of(history, task) for task in self.config.tasks]
        self._learned, self._kept_heads = MultitaskNetwork(features, self.config, scales), None

    def shift_new_items(self, offsets: Matrix) -> None:
        """Add `offsets` [n_items + 1] to the scores of the watch task."""
        shift(self.learned.towers.bias, offsets)

    def _impute_new_items(self, features: FeatureTables) -> None:
        towers, self._kept_heads = self.learned.towers, None
        impute_new_items(towers.item_encoders, towers.bias, features)

    def _epochs(
        self,
        history: Interactions,
        features: FeatureTables,
        watches: WatchTraining,
        generator: np.random.Generator,
        *,
        watch: bool,
        labels: bool,
    ) -> Callable[[], Iterator[float]]:
        """A function that runs an epoch of steps on watches, labels or both, and yields each step's summed losses."""
        config, network = self.config, self.learned
        rate = config.learning_rate * (1 if watch else config.finetune_rate)
        weights = [task.task.weight * task.label_scale.n_labels / watches.n_watches for task in network.tasks]
        step = make_step(
            network,
            weights,
            trains_shared=rate > 0,
            shared=Adam(network.shared_weights),
            own=Adam(network.own_weights),
        )
        steps, n_steps = StepLoop(step), watches.n_steps * watches.n_epochs
        rates = np.float32(rate), np.float32(config.label_rate)
        of_all = tf.nest.map_structure(tf.convert_to_tensor, (rates, np.float32(n_steps), watches.shared()))
        labelled = labelled_batches(history, config, generator)

        def blocks() -> Iterator[dict[str, Stack]]:
            if watch:
                yield from map(dict, watches.blocks(generator))
            else:
                for first in range(0, watches.n_steps, _STEPS_PER_BLOCK):
                    yield {"steps": Stack(np.arange(min(_STEPS_PER_BLOCK, watches.n_steps - first) + 1), ())}

        def run_epoch() -> Iterator[float]:
            logs, self._kept_heads = [], None
            for block in blocks():
                n_here = len(next(iter(block.values())).starts) - 1
                if labels:
                    block |= network.label_stacks(list(islice(labelled, n_here)), features)
                logs.append(steps(block, of_all, seed=int(generator.integers(1 << 31))))
                yield from logs[-1][:, 0].sum(axis=1)
            means = np.concatenate(logs).mean(axis=0)
            entry = EpochLog(("watch", *config.task_columns), *(tuple(map(float, row)) for row in means))
            self.epoch_logs.append(entry)
            log.debug("multitask: epoch %d, %s", len(self.epoch_logs), entry)

        return run_epoch

    def _task_queries(self, users: UserNums, features: FeatureTables) -> Matrix:
        network = self.learned
        blocks = [np.zeros((0, len(self.config.tasks) * self.config.embedding_size), np.float32)]
        for bags, is_cold, user_columns in network.towers.user_blocks(users, features):
            blocks.append(network.task_queries(network.towers.join(bags, is_cold, user_columns, None)).numpy())
        return np.concatenate(blocks)
