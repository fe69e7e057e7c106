"""SequentialRules: items that came soon after, or soon before, those that a user watched last."""

from typing import Literal

import numpy as np
import scipy  # its parts load when they are used
from pydantic import Field

from belfry.dataset.errors import InputError
from belfry.dataset.features import FeatureTables
from belfry.dataset.interactions import Interactions
from belfry.dataset.similarity import sequential_rules
from belfry.retrieval.models.neighbours import HalfLife, NeighbourConfig, NeighbourRetriever


class SequentialRulesConfig(NeighbourConfig):
    kind: Literal["sequential_rules"] = "sequential_rules"
    half_life: HalfLife = 2.0
    n_steps: int = Field(20, ge=1, description="events between two watches of a rule, at most")
    backward: float = Field(0.5, ge=0, description="weight of a pair that is read from the later to the earlier item")


class SequentialRules(NeighbourRetriever[SequentialRulesConfig]):
    """Weights of `belfry.dataset.similarity.sequential_rules`; needs an order of events."""

    config_type = SequentialRulesConfig

    def check(self, history: Interactions, features: FeatureTables) -> None:
        """Refuse watches without an order.

        Raises:
            InputError: names the column.
        """
        if not history.is_ordered:
            raise InputError("sequential_rules: needs a timestamp_s column in the interactions, or data.order")

    def weights(self, history: Interactions) -> "scipy.sparse.csr_matrix[np.float32]":
        """See above."""
        config = self.config
        return sequential_rules(
            history, n_steps=config.n_steps, backward=config.backward, n_neighbours=config.n_neighbours
        )
