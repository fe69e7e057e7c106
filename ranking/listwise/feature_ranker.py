"""FeaturedRanker: pair features, a scorer of lists and what is made of its score, together a Ranker."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from pydantic import model_validator

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.features import FeatureTables
from belfry.layers.config import Settings
from belfry.layers.model import Epoch
from belfry.layers.saved.files import load_arrays, read_settings, save_arrays
from belfry.ranking.base import ListRanker, ListScorer, SavedRanker, Scores
from belfry.ranking.calibration import Calibration
from belfry.ranking.context.model import ContextModel
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.first_watches import LENGTH, FirstWatches
from belfry.ranking.listwise.score_blend import ScoreBlend

FEATURES, CONTEXT, SCORE_BLEND_FILE = "pair_features", "context", "score_blend.json"
_N_NAMED = 5  # in a message


class _SavedBlend(Settings):
    """What `SCORE_BLEND_FILE` holds."""

    names: tuple[str, ...]  # of the features that the scorer was trained on
    retrieval_weight: float
    calibration: Calibration
    label_weights: dict[str, float]
    first_watches: FirstWatches | None = None
    new_item_shift: float = 0.0

    @model_validator(mode="after")
    def _of_known_features(self) -> Self:
        if self.first_watches and not {LENGTH, *self.first_watches.columns} <= set(self.names):
            raise ValueError("first_watches reads features that the scorer was not trained on")
        return self


@dataclass(eq=False)
class FeaturedRanker:
    """Describes the candidates and has them scored; the scores are probabilities."""

    pair_features: PairFeatures
    scorer: ListScorer
    score_blend: ScoreBlend
    names: tuple[str, ...]  # of the features that the scorer was trained on

    @classmethod
    def load(cls, saved: SavedRanker, scorer: ListScorer) -> Self:
        """What `TrainedFeaturedRanker.export` wrote, with the scorer that lies in the same folder."""
        blend = dict(read_settings(saved.folder / SCORE_BLEND_FILE, _SavedBlend))
        names = blend.pop("names")
        arrays = load_arrays(saved.folder / FEATURES)
        try:
            pair_features = PairFeatures(saved.pair_features, arrays, saved.labels)
        except ArtifactError as error:
            raise ArtifactError(f"{saved.folder / FEATURES}: {error}") from error
        return cls(pair_features, scorer, ScoreBlend(**blend), names)

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 from 0 to 1; `features` belong to the history that the pair features were fitted on.

        Raises:
            InputError: the features are not those that the ranker was trained on; the message names them.
        """
        return self.score_lists(self.describe(candidates, features))

    def describe(self, candidates: Candidates, features: FeatureTables) -> Lists:
        """What `score` makes of candidates before it scores them; raises the same."""
        names = self.pair_features.names(features, candidates.sources)
        if names != self.names:
            raise InputError(f"ranker: {_difference(self.names, names)}; hand in the columns that it was trained with")
        pairs = self.pair_features.matrix(candidates, features)
        return Lists.describe(candidates, pairs, names, features.history)

    def score_lists(self, lists: Lists) -> Scores:
        """[n_rows] float32 from 0 to 1."""
        return self.score_blend(self.scorer.score_lists(lists), lists)


@dataclass(eq=False)
class TrainedFeaturedRanker(FeaturedRanker):
    """In training form: its scorer can be saved."""

    scorer: ListRanker
    context: ContextModel | None = None  # moves the order of its lists, where they are asked for in one

    @property
    def curve(self) -> Sequence[Epoch]:
        """How the scorer learned, by epoch."""
        return self.scorer.curve

    def save(self, directory: Path) -> None:
        """The scorer, to go on from; the rest is computed anew."""
        self.scorer.save(directory)

    def export(self, directory: Path) -> None:
        """A graph or trees, arrays, and a few numbers."""
        directory.mkdir(parents=True, exist_ok=True)
        save_arrays(directory / FEATURES, self.pair_features.arrays)
        self.scorer.export(directory)
        saved = {"names": self.names, **asdict(self.score_blend)}
        (directory / SCORE_BLEND_FILE).write_text(json.dumps(saved, indent=2))
        if self.context is not None:
            self.context.save(directory / CONTEXT)


def _difference(trained: tuple[str, ...], found: tuple[str, ...]) -> str:
    missing = [name for name in trained if name not in found]
    extra = [name for name in found if name not in trained]
    if not missing and not extra:
        return "its features stand in another order than in training"
    parts = [(missing, "are missing"), (extra, "are new")]
    return ", ".join(
        f"features {', '.join(map(repr, names[:_N_NAMED]))}{' and others' * (len(names) > _N_NAMED)} {what}"
        for names, what in parts
        if names
    )
