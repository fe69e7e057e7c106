"""The protocols of the first stage; structural, so a model need not import them."""

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from dataset.candidates import Candidates
from dataset.features import FeatureTables
from dataset.interactions import SeenItems
from dataset.vocabulary import Numbers

Embeddings: TypeAlias = npt.NDArray[np.float32]  # [n, embedding_size]


class Towers(Protocol):
    """Two encoders into one space, where the dot product says how well an item fits a user."""

    def encode_queries(self, users: Numbers, features: FeatureTables) -> Embeddings:
        """[n_users, embedding_size]; number 0 is an unknown user and gets a vector too."""
        ...

    def encode_candidates(self, items: Numbers, features: FeatureTables) -> Embeddings:
        """[n_items, embedding_size]."""
        ...


class Retriever(Protocol):
    """The first stage as a whole: never a seen item, and fewer than `top_k` rather than filler."""

    def retrieve(self, users: Numbers, features: FeatureTables, *, top_k: int, exclude: SeenItems) -> Candidates: ...
