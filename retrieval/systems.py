"""Every retrieval system by its config: the one place that knows them all. Importing it imports TensorFlow."""

from retrieval.als import ALS, ALSConfig
from retrieval.autoencoder import Autoencoder
from retrieval.autorec import AutoRec, AutoRecConfig
from retrieval.base import RetrieverModel, TowerModel
from retrieval.config import (
    AutoencoderConfig,
    FeedForwardMFConfig,
    RBMConfig,
    ReportConfig,
    RetrieverConfig,
    SequenceConfig,
    TowerConfig,
    TwoTowerConfig,
)
from retrieval.ease import EASE, EASEConfig
from retrieval.feed_forward_mf import FeedForwardMF
from retrieval.item2vec import Item2Vec, Item2VecConfig
from retrieval.item_knn import ItemKNN, ItemKNNConfig
from retrieval.logistic_mf import LogisticMF, LogisticMFConfig
from retrieval.popularity import Popularity, PopularityConfig
from retrieval.pure_svd import PureSVD, PureSVDConfig
from retrieval.rbm import RBM
from retrieval.report import ReportTwoTower
from retrieval.sequence import SequenceTowers
from retrieval.two_tower import TwoTower


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
