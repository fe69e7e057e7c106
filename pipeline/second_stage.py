"""Train the ranker on held-back events, and decide whether it may order the lists."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from evaluation.intervals import Interval, paired_intervals
from pipeline.config import PipelineConfig
from pipeline.first_stage import FirstStage, some, users_to_ask
from pipeline.holdout import Fold
from ranking.config import DeepRankerConfig
from ranking.deep import DeepRanker
from ranking.examples import Examples, concatenate, make_examples, split_by_user
from ranking.pair_features import PairFeatures

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gate:
    """Whether the ranker may order the lists: only where it beats retrieval's order on validation users."""

    is_open: bool
    reason: str
    n_lists: int = 0
    retrieval_ndcg: float | None = None  # NDCG@10 over the validation lists
    ranker_ndcg: float | None = None
    difference: Interval | None = None


def make_fold_examples(
    fold: Fold, stage: FirstStage, config: PipelineConfig, *, most_lists: int, seed: int
) -> Examples:
    """What retrieval brings for users of a fold, labelled by what it holds back; `most_lists` users at random."""
    candidates = stage.retriever.retrieve(
        some(users_to_ask(fold), most_lists, seed),
        stage.features,
        top_k=config.n_candidates,
        exclude=fold.history.seen_items,
    )
    pair_features = PairFeatures.fit(stage.features, config.pair_features)
    pairs = pair_features.matrix(candidates, stage.features)
    return make_examples(
        candidates, pairs, pair_features.names(stage.features, candidates.sources), fold.later.seen_items
    )


def train_ranker(
    parts: list[Examples], config: DeepRankerConfig, *, seed: int, progress: Callable[[int, int], None]
) -> tuple[DeepRanker | None, Gate]:
    """A ranker fitted on most users' lists, and whether it orders the others' better than retrieval does.

    The same users decide when training stops and whether the gate opens, which favours the ranker by a little.
    """
    learned, validation = split_by_user(concatenate(parts), share=config.validation_share, seed=seed)
    if not len(learned) or not len(validation):
        return None, Gate(False, "retrieval brought too few later events to learn from")
    ranker = DeepRanker(config).fit(learned, seed=seed, validation=validation, progress=progress)
    before = validation.ndcg(validation.pairs[:, validation.names.index("score")])
    after = validation.ndcg(ranker.score_pairs(validation.pairs))
    difference = paired_intervals(before[:, None], after[:, None], seed=seed)[0]
    is_open = bool(difference.mean > 0)
    reason = f"the ranker is {'better' if is_open else 'no better'} than retrieval's order on validation users"
    log.info("gate: %s, NDCG@10 %.4f, was %.4f (%d lists)", reason, after.mean(), before.mean(), len(validation))
    return ranker, Gate(is_open, reason, len(validation), float(before.mean()), float(after.mean()), difference)
