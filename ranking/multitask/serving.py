"""OnnxMultitask: the heads of a multitask model in their serving form. No TensorFlow."""

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.history.bags import padded_bags
from belfry.dataset.vocabulary import UserNums
from belfry.layers.onnx import Graph
from belfry.layers.saved.files import ReadablePath
from belfry.ranking.base import Matrix
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.heads import TASK_QUERIES_FILE, Heads

_USERS_PER_BLOCK = 256


class OnnxMultitask:
    """Meets the protocol `LabelRanker` out of what `MultitaskModel.export` wrote."""

    def __init__(self, directory: ReadablePath, config: MultitaskConfig) -> None:
        self._config, self._heads = config, Heads.load(directory, config)
        self._graph = Graph(directory / TASK_QUERIES_FILE)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Of the tasks."""
        return self._config.task_columns

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, n_tasks] each task's expected label."""
        return self._heads.expected(candidates, features, self._task_queries(candidates.users, features))

    @property
    def deviating_labels(self) -> tuple[str, ...]:
        """Of the tasks that know a distribution."""
        return self._heads.deviating_labels

    def deviations(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, n_tasks] each label's standard deviation; NaN where a task knows none."""
        return self._heads.deviations(candidates, features, self._task_queries(candidates.users, features))

    def _task_queries(self, users: UserNums, features: FeatureTables) -> Matrix:
        """[n_users, n_tasks * embedding_size] those of the tasks side by side."""
        found = []
        for first in range(0, max(len(users), 1), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            inputs = {**features.users.content.inputs(block)} | padded_bags(
                features.history, block, half_life=self._config.half_life, max_length=self._config.max_history
            )
            found.append(self._graph(inputs))
        return np.concatenate(found)
