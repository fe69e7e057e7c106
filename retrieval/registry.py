"""Every kind of retrieval: its settings, its model, its serving form. What a row names is imported when it is used.

A new system is one file, one row here and one subclass of the promises in `tests/contracts/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.layers.config import ModelConfig, imported, kind_of
from belfry.layers.saved.files import ReadablePath
from belfry.retrieval.base import Embeddings, Retriever, RetrieverModel, TowerModel, Towers
from belfry.retrieval.config import (
    AutoencoderConfig,
    FeedForwardMFConfig,
    RBMConfig,
    ReportConfig,
    SequenceConfig,
    TwoTowerConfig,
)
from belfry.retrieval.models.als import ALSConfig
from belfry.retrieval.models.autorec import AutoRecConfig
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.models.factors import FactorTowers
from belfry.retrieval.models.history import HistoryConfig
from belfry.retrieval.models.item2vec import Item2VecConfig
from belfry.retrieval.models.item_knn import ItemKNNConfig
from belfry.retrieval.models.logistic_mf import LogisticMFConfig
from belfry.retrieval.models.pure_svd import PureSVDConfig
from belfry.retrieval.models.sequential_rules import SequentialRulesConfig
from belfry.retrieval.popularity import PopularityConfig

QUERY_TOWER = "belfry.retrieval.onnx_towers:load_query_tower"
QUERY_TOWER_OF_BAGS = "belfry.retrieval.onnx_towers:load_query_tower_of_bags"  # weighs a history as its config says


class ChecksHistory(Protocol):
    """Settings of a kind with `config_checks`."""

    def check(self, history: Interactions) -> None:
        """Raises InputError: the kind cannot learn from it."""


@dataclass(frozen=True)
class RetrieverKind:
    """A row of the registry; `model` and `serving` are written as "package.module:name"."""

    config: type[ModelConfig]
    model: str  # class of the training form, made of its config
    serving: str | None = None  # function that loads exported towers; None: the class loads what it saved
    has_vectors: bool = True  # towers, whose candidates an index holds; else a retriever as a whole
    reads_history: bool = True  # as it is when asked, so that fresh watches count; else users are known by their id
    reads_user_features: bool = False  # of users without a history, whom the towers can then say something of
    places_new_items: bool = False  # those without a watch, by their features, as `NewItemTowers`
    reads_weight: bool = False  # how much each watch counts; else all count alike
    is_closed_form: bool = False  # computed of a history at once; an update does so again, and keeps what was learned
    trains_on: bool = False  # its towers can go on from earlier weights, as `WarmTowers`
    config_checks: bool = False  # the settings alone say what data suit it, so that no library is loaded to check

    def make_towers(self, config: ModelConfig) -> TowerModel:
        """Untrained; of a kind with vectors."""
        return cast(TowerModel, imported(self.model)(config))

    def check(self, config: ModelConfig, history: Interactions, features: FeatureTables) -> None:
        """Refuse data that this kind cannot learn from.

        Raises:
            InputError: the data lack what the kind needs; the message names it.
        """
        if self.config_checks:
            cast(ChecksHistory, config).check(history)
        else:
            make = self.make_towers if self.has_vectors else self.make_retriever
            make(config).check(history, features)

    def make_retriever(self, config: ModelConfig) -> RetrieverModel:
        """Untrained; of a kind without vectors."""
        return cast(RetrieverModel, imported(self.model)(config))

    def load_towers(self, directory: ReadablePath, config: ModelConfig, vectors: Embeddings) -> Towers:
        """What `TowerModel.export` wrote, beside its candidate embeddings [n_items + 1, dim].

        Raises:
            ArtifactError: a file is of another form, or of other items than the embeddings.
        """
        if self.serving is None:
            model = cast(FactorTowers[ModelConfig], imported(self.model).load(directory))
            model.check_vectors(vectors)
            return model
        return cast(Towers, imported(self.serving)(directory, config, vectors))

    def load_retriever(self, directory: ReadablePath) -> Retriever:
        """What `RetrieverModel.save` wrote."""
        return cast(Retriever, imported(self.model).load(directory))


_MODELS, _NEURAL = "belfry.retrieval.models", "belfry.retrieval.models.neural"

KINDS: Mapping[str, RetrieverKind] = {
    kind_of(row.config): row
    for row in (
        RetrieverKind(
            TwoTowerConfig,
            "belfry.retrieval.two_tower:TwoTower",
            QUERY_TOWER_OF_BAGS,
            reads_user_features=True,
            places_new_items=True,
            reads_weight=True,
            trains_on=True,
            config_checks=True,
        ),
        RetrieverKind(ReportConfig, f"{_NEURAL}.report:ReportTwoTower", QUERY_TOWER, reads_history=False),
        RetrieverKind(ALSConfig, f"{_MODELS}.als:ALS", reads_weight=True),
        RetrieverKind(PureSVDConfig, f"{_MODELS}.pure_svd:PureSVD", is_closed_form=True),
        RetrieverKind(LogisticMFConfig, f"{_MODELS}.logistic_mf:LogisticMF"),
        RetrieverKind(
            FeedForwardMFConfig, f"{_NEURAL}.feed_forward_mf:FeedForwardMF", QUERY_TOWER, reads_history=False
        ),
        RetrieverKind(Item2VecConfig, f"{_MODELS}.item2vec:Item2Vec"),
        RetrieverKind(
            SequenceConfig,
            f"{_NEURAL}.sequence:SequenceTowers",
            QUERY_TOWER,
            places_new_items=True,
            trains_on=True,
            config_checks=True,
        ),
        RetrieverKind(AutoencoderConfig, f"{_NEURAL}.autoencoder:Autoencoder", QUERY_TOWER),
        RetrieverKind(AutoRecConfig, f"{_MODELS}.autorec:AutoRec"),
        RetrieverKind(RBMConfig, f"{_NEURAL}.rbm:RBM", QUERY_TOWER),
        RetrieverKind(EASEConfig, f"{_MODELS}.ease:EASE", has_vectors=False, reads_weight=True, is_closed_form=True),
        RetrieverKind(
            ItemKNNConfig, f"{_MODELS}.item_knn:ItemKNN", has_vectors=False, reads_weight=True, is_closed_form=True
        ),
        RetrieverKind(
            SequentialRulesConfig, f"{_MODELS}.sequential_rules:SequentialRules", has_vectors=False, is_closed_form=True
        ),
        RetrieverKind(HistoryConfig, f"{_MODELS}.history:History", has_vectors=False, is_closed_form=True),
        RetrieverKind(
            PopularityConfig,
            "belfry.retrieval.popularity:Popularity",
            has_vectors=False,
            reads_weight=True,
            is_closed_form=True,
        ),
    )
}


def make_towers(config: ModelConfig) -> TowerModel:
    """Untrained towers of the kind that these are the settings of."""
    return KINDS[config.kind].make_towers(config)
