"""FeaturedRanker: any network over pair features, together with the features, a Ranker."""

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from ranking.base import PairScorer, Scores
from ranking.pair_features import PairFeatures


class FeaturedRanker:
    """Computes the pair features of the candidates and has them scored."""

    def __init__(self, pair_features: PairFeatures, scorer: PairScorer) -> None:
        self._pair_features = pair_features
        self._scorer = scorer

    def score(self, candidates: Candidates, features: FeatureTables) -> Scores:
        """[n_rows] float32; `features` belong to the history that the pair features were fitted on."""
        return self._scorer.score_pairs(self._pair_features.matrix(candidates, features))
