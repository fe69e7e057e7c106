"""OnnxMultitask: the heads of a multitask model in their serving form. No TensorFlow."""

from pathlib import Path

import numpy as np

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from dataset.history import padded_bags
from dataset.vocabulary import Numbers
from layers.sessions import open_session
from ranking.base import Matrix, Scores
from ranking.heads import QUERY_TOWER_FILE, TASK_QUERIES_FILE, Heads
from ranking.multitask_config import MultitaskConfig

_USERS_PER_BLOCK = 256


class OnnxMultitask:
    """Meets the protocol `Ranker` out of what `MultitaskModel.export` wrote."""

    def __init__(self, directory: Path, config: MultitaskConfig) -> None:
        self._config, self._heads = config, Heads.load(directory, config)
        self._sessions = [open_session(directory / name) for name in (QUERY_TOWER_FILE, TASK_QUERIES_FILE)]

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] the utility of each candidate; see `Heads.score`."""
        return self._heads.score(candidates, features, *self._queries(candidates.users, features))

    def _queries(self, users: Numbers, features: FeatureTables) -> list[Matrix]:
        """[n_users, ...] those of the watch, and those of the tasks side by side."""
        found: list[list[Matrix]] = [[], []]
        for first in range(0, max(len(users), 1), _USERS_PER_BLOCK):
            block = users[first : first + _USERS_PER_BLOCK]
            inputs = {**features.users.cold.take(block)} | padded_bags(
                features.history, block, half_life=self._config.half_life, max_length=self._config.max_history
            )
            for outputs, session in zip(found, self._sessions, strict=True):
                names = [entry.name for entry in session.get_inputs()]
                outputs.append(session.run(None, {name: inputs[name] for name in names})[0])
        return [np.concatenate(outputs) for outputs in found]
