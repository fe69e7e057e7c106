"""LightGbmRanker: gradient-boosted trees over pair features, the peer of the deep rankers. No TensorFlow.

Source: Ke et al., LightGBM, NIPS 2017; Burges, From RankNet to LambdaRank to LambdaMART, 2010.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np

from belfry.dataset.errors import ArtifactError, InputError
from belfry.layers.model import Model, Progress, no_progress
from belfry.layers.saved.files import ReadablePath
from belfry.ranking.base import Scores
from belfry.ranking.example_store import ExampleSource
from belfry.ranking.examples import Examples, concatenate
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.config import LightGbmRankerConfig
from belfry.ranking.listwise.tree_check import check_trees

MODEL_FILE = "ranker.txt"
_DEPTH = 10  # of the NDCG that lambdarank and early stopping look at
_GRADES = 100  # labels from 0 to 1 become whole grades, whose gains are their size


def import_lightgbm() -> Any:
    """The library, which is an extra of Belfry.

    Raises:
        InputError: it is not installed; the message says how to.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise InputError(
            "ranker kind 'lightgbm' needs LightGBM; run: pip install 'belfry-recommender[lightgbm]'"
        ) from error
    return lightgbm


class LightGbmRanker(Model[LightGbmRankerConfig, Any]):
    """A sum of trees for each candidate. All examples are in memory at once, as the library needs them."""

    config_type = LightGbmRankerConfig

    def __init__(self, config: LightGbmRankerConfig) -> None:
        """Raises InputError: LightGBM is not installed."""
        import_lightgbm()
        super().__init__(config)

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
        """Grow trees until NDCG@10 on `validation` stops rising, and return itself; counts of ids are not used.

        Raises:
            DivergenceError: a feature is not finite; the message names it.
        """
        lgb, config = import_lightgbm(), self.config
        learned = concatenate(list(examples.blocks(np.random.default_rng(seed))))
        learned.lists.check_finite()
        parameters = {
            "objective": config.objective,
            "metric": "ndcg",
            "eval_at": [_DEPTH],
            "lambdarank_truncation_level": 3 * _DEPTH,
            "learning_rate": config.learning_rate,
            "num_leaves": config.leaves,
            "min_data_in_leaf": config.min_rows,
            "bagging_fraction": config.row_share,
            "bagging_freq": 1,
            "feature_fraction": config.column_share,
            "label_gain": list(range(_GRADES + 1)),
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 0,
            "verbosity": -1,
        }
        training = self._dataset(learned)
        self._learned = lgb.train(
            parameters,
            training,
            num_boost_round=config.trees,
            valid_sets=[self._dataset(validation, reference=training)],
            callbacks=[
                lgb.early_stopping(config.patience, verbose=False),
                lambda state: progress(state.iteration + 1, config.trees),
            ],
        )
        return self

    def score_lists(self, lists: Lists) -> Scores:
        """[n_rows] float32 sums of leaves."""
        if not len(lists.pairs):
            return np.zeros(0, np.float32)
        return np.asarray(self.learned.predict(lists.pairs), np.float32)

    def save(self, directory: Path) -> None:
        """Write the config, and the trees as the library's text, which is data: nothing in it can run."""
        super().save(directory)
        text = self.learned.model_to_string(num_iteration=self.learned.best_iteration)
        (directory / MODEL_FILE).write_text(text)

    def export(self, directory: Path) -> None:
        """What `save` writes is the serving form too."""
        self.save(directory)

    @classmethod
    def load(cls, directory: ReadablePath) -> Self:
        """What `save` wrote.

        Raises:
            ArtifactError: the trees are damaged, or would not end.
        """
        model = cls._of_saved_config(directory)
        path = directory / MODEL_FILE
        try:
            text = path.read_bytes().decode("utf-8")
            check_trees(text)
            model._learned = import_lightgbm().Booster(model_str=text)
        except (ValueError, import_lightgbm().basic.LightGBMError) as error:
            raise ArtifactError(
                f"{path}: holds no trees that Belfry reads ({str(error)[:200]}); train again"
            ) from error
        return model

    def _dataset(self, examples: Examples, reference: Any = None) -> Any:
        labels = examples.labels
        grades = labels > 0 if self.config.objective == "binary" else np.rint(labels * _GRADES)
        return import_lightgbm().Dataset(
            examples.lists.pairs, grades.astype(np.float64), group=examples.lists.lengths, reference=reference
        )
