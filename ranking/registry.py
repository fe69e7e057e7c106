"""Every kind of ranker: its settings, its model, its serving form. What a row names is imported when it is used.

A new ranker is one file (and settings in a file of their own where it needs TensorFlow), one row here and one subclass
of the promises in `tests/contracts/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from belfry.layers.config import ModelConfig, imported, kind_of
from belfry.ranking.base import EventRanker, ListRanker, Ranker, SavedRanker
from belfry.ranking.listwise.config import (
    AttentionRankerConfig,
    CrossRankerConfig,
    DeepRankerConfig,
    LightGbmRankerConfig,
    NeuralMfRankerConfig,
    TransformerRankerConfig,
    WideDeepRankerConfig,
)
from belfry.ranking.ratings.config import (
    BayesianFactorisationConfig,
    DeepRegressorConfig,
    DotRegressorConfig,
    HybridRegressorConfig,
)

Family: TypeAlias = Literal["listwise", "ratings"]  # what a ranker is trained on: lists, or ratings of a history


@dataclass(frozen=True)
class RankerKind:
    """A row of the registry; `serving`, `model` and `network` are written as "package.module:name"."""

    config: type[ModelConfig]
    family: Family
    serving: str  # function from a SavedRanker to the serving form
    model: str  # class of the training form, made of its config
    network: str = ""  # class of the network that the model trains, where it can train several
    knows_users: bool = False  # by their numbers, so that it can say nothing of new ones
    knows_items: bool = False  # likewise

    @property
    def reads_weight(self) -> bool:
        """Whether how much each watch counts is read, as pair features of neighbours do; else all count alike."""
        return self.family == "listwise"

    def make_list_ranker(self, config: ModelConfig) -> ListRanker:
        """Untrained; of the family "listwise"."""
        return cast(ListRanker, imported(self.model)(config))

    def make_event_ranker(self, config: ModelConfig) -> EventRanker:
        """Untrained; of the family "ratings"."""
        return cast(EventRanker, imported(self.model)(config))

    def load(self, saved: SavedRanker) -> Ranker:
        """The serving form that `TrainedRanker.export` wrote."""
        return cast(Ranker, imported(self.serving)(saved))


_LISTWISE, _RATINGS = "belfry.ranking.listwise", "belfry.ranking.ratings"


def _network(
    config: type[ModelConfig], network: str, *, knows_users: bool = False, knows_items: bool = False
) -> RankerKind:
    serving, model = f"{_LISTWISE}.serving:load_network", f"{_LISTWISE}.deep:DeepRanker"
    network = f"{_LISTWISE}.networks:{network}"
    return RankerKind(config, "listwise", serving, model, network, knows_users, knows_items)


def _regressor(config: type[ModelConfig]) -> RankerKind:
    serving, model = f"{_RATINGS}.serving:load_regressor", f"{_RATINGS}.regressor:RatingRegressor"
    return RankerKind(config, "ratings", serving, model, knows_users=True)


KINDS: Mapping[str, RankerKind] = {
    kind_of(row.config): row
    for row in (
        _network(DeepRankerConfig, "DeepNetwork"),
        _network(CrossRankerConfig, "CrossNetwork", knows_items=True),
        _network(WideDeepRankerConfig, "WideDeepNetwork", knows_users=True, knows_items=True),
        _network(NeuralMfRankerConfig, "NeuralMfNetwork", knows_users=True, knows_items=True),
        _network(AttentionRankerConfig, "AttentionNetwork", knows_items=True),
        _network(TransformerRankerConfig, "TransformerNetwork"),
        RankerKind(
            LightGbmRankerConfig,
            "listwise",
            f"{_LISTWISE}.serving:load_trees",
            f"{_LISTWISE}.boosted:LightGbmRanker",
        ),
        _regressor(DotRegressorConfig),
        _regressor(DeepRegressorConfig),
        _regressor(HybridRegressorConfig),
        RankerKind(
            BayesianFactorisationConfig,
            "ratings",
            f"{_RATINGS}.serving:load_bayesian_factorisation",
            f"{_RATINGS}.bayesian:BayesianFactorisation",
            knows_users=True,
        ),
    )
}
