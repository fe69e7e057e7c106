"""Every retrieval system by its config: the one place that knows them all. Importing it imports TensorFlow."""

from belfry.retrieval.base import RetrieverModel, TowerModel
from belfry.retrieval.config import (
    AutoencoderConfig,
    FeedForwardMFConfig,
    RBMConfig,
    ReportConfig,
    RetrieverConfig,
    SequenceConfig,
    TowerConfig,
    TwoTowerConfig,
)
from belfry.retrieval.models.als import ALS, ALSConfig
from belfry.retrieval.models.autorec import AutoRec, AutoRecConfig
from belfry.retrieval.models.ease import EASE, EASEConfig
from belfry.retrieval.models.item2vec import Item2Vec, Item2VecConfig
from belfry.retrieval.models.item_knn import ItemKNN, ItemKNNConfig
from belfry.retrieval.models.logistic_mf import LogisticMF, LogisticMFConfig
from belfry.retrieval.models.neural.autoencoder import Autoencoder
from belfry.retrieval.models.neural.feed_forward_mf import FeedForwardMF
from belfry.retrieval.models.neural.rbm import RBM
from belfry.retrieval.models.neural.report import ReportTwoTower
from belfry.retrieval.models.neural.sequence import SequenceTowers
from belfry.retrieval.models.pure_svd import PureSVD, PureSVDConfig
from belfry.retrieval.popularity import Popularity, PopularityConfig
from belfry.retrieval.two_tower import TwoTower


def make_towers(config: TowerConfig) -> TowerModel:
    """Untrained towers."""
    match config:
        case TwoTowerConfig():
            return TwoTower(config)
        case ReportConfig():
            return ReportTwoTower(config)
        case ALSConfig():
            return ALS(config)
        case PureSVDConfig():
            return PureSVD(config)
        case LogisticMFConfig():
            return LogisticMF(config)
        case FeedForwardMFConfig():
            return FeedForwardMF(config)
        case Item2VecConfig():
            return Item2Vec(config)
        case SequenceConfig():
            return SequenceTowers(config)
        case AutoencoderConfig():
            return Autoencoder(config)
        case AutoRecConfig():
            return AutoRec(config)
        case RBMConfig():
            return RBM(config)


def make_retriever(config: RetrieverConfig) -> RetrieverModel:
    """An untrained system without vectors."""
    match config:
        case EASEConfig():
            return EASE(config)
        case ItemKNNConfig():
            return ItemKNN(config)
        case PopularityConfig():
            return Popularity(config)
