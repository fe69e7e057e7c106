"""The protocols of the second stage; structural, so a model need not import them.

Two families train: `ListRanker` learns from candidate lists and what was watched later, `EventRanker` from the events
of a history alone. Both answer as a `Ranker`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from belfry.dataset.candidates import Candidates
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.layers.config import ModelConfig
from belfry.layers.model import Epoch, Progress
from belfry.layers.saved.files import ReadablePath
from belfry.ranking.example_store import ExampleSource
from belfry.ranking.examples import Examples
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.lists import Lists
from belfry.ranking.lists import Matrix as Matrix
from belfry.ranking.lists import Scores as Scores


class Ranker(Protocol):
    """One score per row, in row order; drops, sorts and filters nothing."""

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32, higher is better."""
        ...


class Trained(Protocol):
    """What is in training form, and can be saved in two ways."""

    def save(self, directory: Path) -> None:
        """Config and weights, to go on from; writes nothing where these are kept elsewhere."""
        ...

    def export(self, directory: Path) -> None:
        """The serving form, which the `serving` of its kind in `belfry.ranking.registry` reads without TensorFlow."""
        ...


class TrainedRanker(Ranker, Trained, Protocol):
    """A ranker in training form, with all that it needs to answer."""


@dataclass(frozen=True)
class SavedRanker:
    """The folder of an exported ranker, and what it belongs to."""

    folder: ReadablePath
    config: ModelConfig  # of the ranker
    pair_features: PairFeaturesConfig
    labels: "LabelRanker | None" = None  # of the first source, in serving form, where it expects labels


class LabelRanker(Protocol):
    """What expects labels of candidates, such as ratings."""

    @property
    def label_names(self) -> tuple[str, ...]:
        """Columns of the interactions that it has learned to expect, one for each task."""
        ...

    def expected(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, n_tasks] on the scale of the labels."""
        ...


class DeviatingLabels(Protocol):
    """What also says how far labels lie from what is expected of them."""

    @property
    def deviating_labels(self) -> tuple[str, ...]:
        """Those of `label_names` of which it does."""
        ...

    def deviations(self, candidates: Candidates, features: FeatureTables) -> Matrix:
        """[n_rows, n_tasks] standard deviations on the scale of the labels; NaN for the others."""
        ...


class ListScorer(Protocol):
    """What scores described lists, in training form or serving form."""

    def score_lists(self, lists: Lists) -> Scores:
        """[n_rows] float32, higher is better; comparable within a list."""
        ...


class ListRanker(ListScorer, Trained, Protocol):
    """A ranker in training form that learns from candidate lists."""

    @property
    def curve(self) -> Sequence[Epoch]:
        """Of the last fit; none where training knows no epochs."""
        ...

    def fit(
        self,
        examples: ExampleSource,
        *,
        seed: int,
        validation: Examples,
        n_users: int,
        n_items: int,
        progress: Progress = ...,
    ) -> Self:
        """Train from nothing on `examples`, stop by `validation`, return itself; counts are of the vocabularies."""
        ...


class EventRanker(TrainedRanker, Protocol):
    """A ranker in training form that learns from the events of a history, as towers do; it needs no candidate lists."""

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse data that it cannot learn from: an InputError names what they lack."""
        ...

    def fit(self, history: Interactions, features: FeatureTables, *, seed: int, progress: Progress = ...) -> Self:
        """Train from nothing on `history`, which `features` belong to, and return itself."""
        ...
