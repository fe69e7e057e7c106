"""How good settings are: both stages trained on a part of the history, judged by what it holds back."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from belfry.dataset.errors import InputError
from belfry.dataset.folds import Holdout
from belfry.dataset.history.repeats import kept_out
from belfry.dataset.prepare import Data
from belfry.evaluation.context import EvaluationContext, make_context
from belfry.evaluation.engine import evaluate
from belfry.evaluation.lists import CandidateLists
from belfry.evaluation.metrics import PerUser
from belfry.evaluation.plan import Plan
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.jobs.training_data import split_by
from belfry.pipeline.training.retrieval_stage import Tuning
from belfry.pipeline.training.train import train

METRIC, LENGTH = "ndcg@10", 10
TEST_SHARE = 0.1
USERS_PER_BLOCK = 256
MIN_USERS = 40  # half of them choose, the other half decide


@dataclass(frozen=True)
class Validation:
    """A part to learn from, and what the same users did afterwards."""

    data: Data  # of the part to learn from
    holdout: Holdout
    context: EvaluationContext
    chooses: np.ndarray  # [n_users] of the context: whether the user is one of those that trials are compared by

    @classmethod
    def of(cls, data: Data, config: PipelineConfig, holdout: Holdout, seed: int) -> "Validation":
        """Of everything there is to learn from; a test part is not in it.

        Raises:
            InputError: too few users can be judged.
        """
        parts = split_by(data.interactions, holdout, test_share=TEST_SHARE, seed=seed)
        seen = kept_out(parts.train, config.repeats)
        context, _ = make_context(parts.train, parts.test, seen=seen, min_history=1)
        n_users = len(context.users)
        if n_users < MIN_USERS:
            raise InputError(f"interactions: {n_users} users can be judged, and a search needs {MIN_USERS}; do without")
        chooses = np.zeros(n_users, np.bool_)
        chooses[np.random.default_rng(seed).permutation(n_users)[: n_users // 2]] = True
        return cls(replace(data, interactions=parts.train), holdout, context, chooses)

    def scores(
        self,
        config: PipelineConfig,
        *,
        seed: int,
        on_first_stage: Callable[[Tuning], None] = lambda tuning: None,
    ) -> PerUser:
        """[n_users] NDCG@10 of each user's final list.

        Args:
            on_first_stage: told what the first fold decided, once it has; may raise to end the trial there.
        """
        trained = train(self.data, config, holdout=self.holdout, seed=seed, on_first_stage=on_first_stage).two_stage
        users, nothing = self.context.users, np.zeros(0, np.int32)
        n = min(LENGTH, len(trained.features.history.items))
        blocks = (
            trained.lists(users[at : at + USERS_PER_BLOCK], "final", n=n, exclude=self.context.seen, blocked=nothing)
            for at in range(0, len(users), USERS_PER_BLOCK)
        )
        plan = Plan.of_evaluation("lists", n, depth=n, cutoffs=())
        return evaluate(CandidateLists(blocks, users), self.context, plan).per_user[f"ndcg@{n}"]
