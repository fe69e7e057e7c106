"""ListRankerTrainer: rankers that learn from candidate lists of held-back events."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np

from belfry.dataset.candidates import Candidates
from belfry.dataset.folds import MAX_NEWCOMERS, Fold
from belfry.dataset.prepare import Data
from belfry.dataset.vocabulary import UserNums
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import expects_labels, ranker_kind
from belfry.pipeline.progress import Progress
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.training.gate_evaluation import LABEL_TOLERANCE, evaluate_gate
from belfry.pipeline.training.ranker_trainer import Observed, RankerOf, candidates_for
from belfry.pipeline.training.retrieval_stage import FirstStage
from belfry.ranking.context.choices import Choices, choices_of, join_choices
from belfry.ranking.context.model import ContextModel, ContextWeights, log_odds_of
from belfry.ranking.context.statistics import ContextStatistics
from belfry.ranking.example_store import ExampleStore
from belfry.ranking.examples import Examples, concatenate, make_examples, validation_users
from belfry.ranking.features.expected_labels import name_of_expected
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.config import ListRankerConfig
from belfry.ranking.listwise.feature_ranker import TrainedFeaturedRanker
from belfry.ranking.listwise.first_watches import FirstWatches
from belfry.ranking.listwise.score_blend import ScoreBlend, Utility
from belfry.ranking.multitask.config import MultitaskConfig
from belfry.ranking.multitask.label_batches import label_spread

EXAMPLE_BYTES = 1 << 30  # of features of examples in memory; what is more waits on disk
MAX_VALIDATION_LISTS = 2_000  # of a fold: more would tell little and cost much
ENOUGH_LISTS = 4_000  # to learn from: each fold more costs a whole first stage


class ListRankerTrainer:
    """Gathers the lists of all folds: most users' to learn from, in a store, and the others' to validate on."""

    def __init__(self, data: Data, config: PipelineConfig, *, seed: int, progress: Progress) -> None:
        """Raises InputError: a library that the ranker needs is not installed."""
        self._data, self._config, self._seed, self._progress = data, config, seed, progress
        self._ranker_config = cast(ListRankerConfig, config.ranker)
        # Made here so that a library that is missing is named before the long training.
        ranker_kind(self._ranker_config).make_list_ranker(self._ranker_config)
        users = np.unique(data.interactions.user_num)
        self._held_back = validation_users(users, share=self._ranker_config.validation_share, seed=seed)
        self.learned = ExampleStore(limit_bytes=EXAMPLE_BYTES)
        self._validation: list[Examples] = []
        self._newcomers: list[Examples] = []
        self._later_share = 1.0  # of these
        self._choices: list[Choices] = []  # among the lists to validate on

    def n_folds(self, first: Fold) -> int:
        """As many as give the ranker enough lists, two at least."""
        n_lists = min(self._config.max_lists, ENOUGH_LISTS)
        return min(self._config.folds, max(2, -(-n_lists // max(1, len(first.users)))))

    def observe(self, fold: Fold, stage: FirstStage, *, n_folds: int) -> Iterator[Observed]:
        """What retrieval brings for users of a fold, labelled by what it holds back."""
        pair_features, max_lists = self._pair_features(stage), -(-self._config.max_lists // n_folds)
        context = ContextStatistics.fit(fold.history, stage.towers.vectors) if fold.history.context else None
        if fold.hidden is not None:
            known = _asked_by(stage, fold.hidden)
            yield from self._observe_users(fold.hidden, known, pair_features, context, max_lists)
            max_lists = max(0, max_lists - len(fold.hidden.users))
        yield from self._observe_users(fold, stage, pair_features, context, max_lists)
        if fold.newcomers is not None:
            for examples in self._of_newcomers(fold.newcomers, _asked_by(stage, fold.newcomers), pair_features):
                yield Observed(examples, are_newcomers=True, later_share=fold.later_share)

    def _observe_users(
        self,
        fold: Fold,
        stage: FirstStage,
        pair_features: PairFeatures,
        context: ContextStatistics | None,
        max_lists: int,
    ) -> Iterator[Observed]:
        """Lists to validate on, then at most `max_lists` to learn from."""
        users = np.random.default_rng(self._seed).permutation(fold.users)
        is_held_back = np.isin(users, self._held_back)
        for candidates in self._with_hits(fold, stage, users[is_held_back], MAX_VALIDATION_LISTS):
            examples = self._describe(candidates, fold, stage, pair_features)
            if not self._ranker_config.unshown_share:
                examples = self._mostly_shown(examples, fold)
            choices = None
            if context is not None:
                choices = choices_of(examples, fold.later, context, fold.history, seed=self._seed)
            yield Observed(examples, is_validation=True, choices=choices)
        for candidates in self._with_hits(fold, stage, users[~is_held_back], max_lists):
            examples = self._describe(candidates, fold, stage, pair_features)
            yield Observed(self._mostly_shown(examples, fold))

    def _of_newcomers(self, came: Fold, stage: FirstStage, pair_features: PairFeatures) -> Iterator[Examples]:
        """Lists of users after their first watches."""
        users = np.random.default_rng(self._seed).permutation(came.users)
        for candidates in self._with_hits(came, stage, users, MAX_NEWCOMERS):
            yield self._describe(candidates, came, stage, pair_features)

    def add(self, observed: Observed) -> None:
        """Keep examples for the end."""
        if observed.are_newcomers:
            self._newcomers.append(observed.examples)
            self._later_share = observed.later_share
        elif not observed.is_validation:
            self.learned.add(observed.examples)
        elif len(observed.examples):
            if observed.choices is not None:
                n_lists = sum(len(part) for part in self._validation)
                n_rows = sum(len(part.labels) for part in self._validation)
                self._choices.append(observed.choices.behind(n_lists, n_rows))
            self._validation.append(observed.examples)

    def finish(self) -> tuple[RankerOf | None, Gate]:
        """A ranker fitted on most users' lists, and whether it orders the others' better than retrieval does.

        The same users decide when training stops, how much retrieval's score counts and whether the gate opens, which
        favours the ranker by a little.
        """
        return self.fit(self._ranker_config)

    def fit(self, config: ListRankerConfig) -> tuple[RankerOf | None, Gate]:
        """The same for any ranker of the family, on the same lists."""
        validation = self.validation
        if not len(self.learned) or validation is None:
            return None, Gate(is_open=False, reason="retrieval brought too few later events to learn from")
        ranker = (
            ranker_kind(config)
            .make_list_ranker(config)
            .fit(
                self.learned,
                seed=self._seed,
                validation=validation,
                n_users=len(self._data.interactions.users),
                n_items=len(self._data.interactions.items),
                progress=partial(self._progress, "ranking"),
            )
        )
        scores = ranker.score_lists(validation.lists)
        blend = ScoreBlend.fit(scores, validation, retrieval_weight=config.retrieval_weight, utilities=self._utilities)
        tolerance = LABEL_TOLERANCE if blend.label_weights else 0
        if self._newcomers and not blend.label_weights:
            newcomers = concatenate(self._newcomers)
            of_newcomers = blend.log_odds(ranker.score_lists(newcomers.lists), newcomers.lists)
            known = blend.log_odds(scores, validation.lists)
            learned = FirstWatches.fit(of_newcomers, newcomers, known, validation, share=self._later_share)
            blend = replace(blend, first_watches=learned)
        probability = blend(scores, validation.lists)
        gate = evaluate_gate(validation, probability, seed=self._seed, tolerance=tolerance)
        weights = ContextWeights()
        if self._choices:
            weights = ContextWeights.fit(join_choices(self._choices), log_odds_of(probability), validation.lists)
        names = validation.lists.names

        def ranker_of(stage: FirstStage) -> TrainedFeaturedRanker:
            context = None
            if weights.by_column:
                context = ContextModel(weights, ContextStatistics.fit(stage.features.history, stage.towers.vectors))
            return TrainedFeaturedRanker(self._pair_features(stage), ranker, blend, names, context)

        return ranker_of, gate

    def close(self) -> None:
        """Let go of the examples, in memory and on disk."""
        self.learned.close()
        for kept in (self._validation, self._newcomers, self._choices):
            kept.clear()

    @property
    def validation(self) -> Examples | None:
        """Of held-back users; none where retrieval brought nothing that they came to watch."""
        return concatenate(self._validation) if self._validation else None

    @property
    def _utilities(self) -> list[Utility]:
        """Of the labels that the first source expects."""
        if not expects_labels(self._config.retrieval):
            return []
        return [
            Utility(name_of_expected(task.column), task.utility, label_spread(self._data.interactions, task.column))
            for task in cast(MultitaskConfig, self._config.retrieval).tasks
        ]

    def _pair_features(self, stage: FirstStage) -> PairFeatures:
        """Of the history of a first stage, with what its first source expects of labels."""
        return PairFeatures.fit(stage.features, self._config.pair_features, stage.label_model)

    def _with_hits(self, fold: Fold, stage: FirstStage, users: UserNums, max_lists: int) -> Iterator[Candidates]:
        """Lists of the first of `users` whom retrieval brings something that they came to watch, at most `max_lists`.

        Others teach nothing, and describing them would cost most of the time where data are sparse.
        """
        n_left, later = max_lists, fold.later.seen_items
        for candidates in candidates_for(users, fold, stage, n_candidates=self._config.n_candidates):
            asked = candidates.users[candidates.row_user]
            has_hit = np.zeros(len(candidates.users), np.bool_)
            has_hit[candidates.row_user[later.contains(asked, candidates.item_num)]] = True
            chosen = np.flatnonzero(has_hit)[:n_left]
            n_left -= len(chosen)
            if len(chosen):
                yield candidates.of_users(chosen)
            if not n_left:
                return

    def _mostly_shown(self, examples: Examples, fold: Fold) -> Examples:
        share = self._ranker_config.unshown_share
        if fold.passed_over is None or share == 1:
            return examples
        return examples.mostly_shown(fold.passed_over, share, np.random.default_rng(self._seed))

    def _describe(self, candidates: Candidates, fold: Fold, stage: FirstStage, pair_features: PairFeatures) -> Examples:
        label, liked_from = self._ranker_config.label, self._ranker_config.liked_from
        pairs = pair_features.matrix(candidates, stage.features)
        names = pair_features.names(stage.features, candidates.sources)
        lists = Lists.describe(candidates, pairs, names, fold.history)
        return make_examples(lists, fold.later, label, liked_from=liked_from)


def _asked_by(stage: FirstStage, fold: Fold) -> FirstStage:
    """A first stage that is asked by users whom it has not learned from."""
    return replace(stage, features=replace(stage.features, history=fold.history))
