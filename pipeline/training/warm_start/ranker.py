"""CarriedRanker: the ranker of an earlier run, byte by byte, over the pair features of today."""

from pathlib import Path
from typing import cast

from belfry.layers.saved.files import save_arrays
from belfry.pipeline.kinds import load_labels, ranker_kind
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.runs.sealed import SealedPath
from belfry.pipeline.serving.load import RANKER, SOURCES
from belfry.pipeline.training.warm_start.parent import Parent
from belfry.ranking.base import SavedRanker
from belfry.ranking.context.model import WEIGHTS_FILE, ContextModel, read_weights
from belfry.ranking.context.statistics import ContextStatistics
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.listwise.feature_ranker import CONTEXT, FEATURES, FeaturedRanker

_SERVING, _TRAINING = f"serving/{RANKER}", f"training/{RANKER}"


def ranker_of(parent: Parent) -> FeaturedRanker | None:
    """In serving form; None where the run has none."""
    config = parent.asked.ranker
    if config is None or not (parent.run.root / _SERVING).names():
        return None
    name, source = next(iter(parent.sources.items()))
    labels = load_labels(parent.run.path("serving") / SOURCES / name, source.model)
    saved = SavedRanker(parent.run.path(_SERVING), config, parent.asked.pair_features, labels)
    return cast(FeaturedRanker, ranker_kind(config).load(saved))


class CarriedRanker(FeaturedRanker):
    """Scores as it did; what it reads are the statistics of another history."""

    def __init__(
        self, run: Run, ranker: FeaturedRanker, pair_features: PairFeatures, statistics: ContextStatistics | None
    ) -> None:
        """`statistics` are of the context of events, where these have any."""
        super().__init__(pair_features, ranker.scorer, ranker.score_blend, ranker.names)
        self._run = run
        has_weights = f"{_SERVING}/{CONTEXT}/{WEIGHTS_FILE}" in run.manifest.files
        weights = read_weights(run.path(_SERVING) / CONTEXT) if has_weights else None
        self.context = ContextModel(weights, statistics) if weights and statistics else None

    def save(self, directory: Path) -> None:
        """The weights as they were."""
        _copy(self._run.root / _TRAINING, directory)

    def export(self, directory: Path) -> None:
        """The serving form as it was, but for the statistics."""
        _copy(self._run.root / _SERVING, directory, without=(f"{FEATURES}/", f"{CONTEXT}/"))
        save_arrays(directory / FEATURES, self.pair_features.arrays)
        if self.context is not None:
            self.context.save(directory / CONTEXT)


def _copy(folder: SealedPath, target: Path, *, without: tuple[str, ...] = ()) -> None:
    for name in folder.names():
        if not name.startswith(without):
            (folder / name).copy(target / name)
