"""FeaturedRanker: pair features, a scorer of lists and what is made of its score, together a Ranker."""

from belfry.dataset.candidates import Candidates
from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.ranking.base import ListScorer, Scores
from belfry.ranking.features.pair_features import PairFeatures
from belfry.ranking.lists import Lists
from belfry.ranking.listwise.score_blend import RETRIEVAL, ScoreBlend

_N_NAMED = 5  # in a message


class FeaturedRanker:
    """Describes the candidates and has them scored; the scores are probabilities."""

    def __init__(
        self, pair_features: PairFeatures, scorer: ListScorer, opinion: ScoreBlend, names: tuple[str, ...]
    ) -> None:
        """`names` are the features that the scorer was trained on."""
        self.pair_features = pair_features
        self._scorer = scorer
        self._opinion = opinion
        self._names = names

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32 from 0 to 1; `features` belong to the history that the pair features were fitted on.

        Raises:
            InputError: the features are not those that the ranker was trained on; the message names them.
        """
        return self.score_lists(self.describe(candidates, features))

    def describe(self, candidates: Candidates, features: FeatureTables) -> Lists:
        """What `score` makes of candidates before it scores them; raises the same."""
        names = self.pair_features.names(features, candidates.sources)
        if names != self._names:
            raise InputError(f"ranker: {_difference(self._names, names)}; hand in the columns that it was trained with")
        pairs = self.pair_features.matrix(candidates, features)
        return Lists.describe(candidates, pairs, names, features.history)

    def score_lists(self, lists: Lists) -> Scores:
        """[n_rows] float32 from 0 to 1."""
        return self._opinion(self._scorer.score_lists(lists), lists.column(RETRIEVAL))


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
