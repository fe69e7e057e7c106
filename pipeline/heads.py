"""The second stage of a model that is both: nothing is trained for it, and the gate judges it as any ranker."""

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.first_stage import FirstStage, some, users_to_ask
from pipeline.holdout import Fold
from pipeline.second_stage import MOST_VALIDATION_USERS, Gate
from ranking.base import Ranker
from ranking.examples import Examples, concatenate, make_examples
from ranking.lists import Lists
from ranking.multitask import MultitaskModel

_COLUMNS = ("score", "utility")  # retrieval's opinion of a candidate, and that of the heads


class HeadsJudge:
    """Gathers lists of all folds, scored by the heads of that fold's first source, and opens or closes the gate."""

    def __init__(self, config: PipelineConfig, *, seed: int) -> None:
        self._config, self._seed = config, seed
        self._lists: list[Examples] = []

    def add(self, fold: Fold, stage: FirstStage) -> None:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        users = some(users_to_ask(fold), MOST_VALIDATION_USERS, self._seed)
        candidates = stage.retriever.retrieve(
            users, stage.features, top_k=self._config.n_candidates, exclude=fold.history.seen_items
        )
        utility = heads_of(stage).score(candidates, stage.features)
        pairs = np.stack([candidates.score, utility], axis=1)
        examples = make_examples(Lists.describe(candidates, pairs, _COLUMNS, fold.history), fold.later)
        if len(examples):
            self._lists.append(examples)

    @property
    def gate(self) -> Gate:
        if not self._lists:
            return Gate(False, "retrieval brought too few later events to judge by")
        lists = concatenate(self._lists)
        return Gate.judge(lists, lists.lists.column("utility"), seed=self._seed)


def heads_of(stage: FirstStage) -> Ranker:
    """The heads of the first source, in training form."""
    model = stage.towers.model
    assert isinstance(model, MultitaskModel)  # the config was checked
    return model
