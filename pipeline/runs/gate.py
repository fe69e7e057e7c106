"""Gate: whether the ranker of a run may order the lists, and why. Part of the run's manifest."""

import math
from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict

Bound: TypeAlias = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


class ManifestPart(BaseModel):
    """A part of the manifest; an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(ManifestPart):
    """What the ranker gains over retrieval's order, as a mean over lists with its 95% interval.

    Too few lists have no interval: its bounds are NaN, null in the manifest.
    """

    mean: float
    low: Bound
    high: Bound


class Gate(ManifestPart):
    """Open only where the ranker does well beside retrieval's order on validation users."""

    is_open: bool
    reason: str
    n_lists: int = 0  # of validation users
    retrieval_ndcg: float | None = None  # NDCG@10 of these lists in retrieval's order; none: nothing was evaluated
    ranker_ndcg: float | None = None
    difference: Difference | None = None

    @property
    def line(self) -> str:
        """One line for people: who orders the lists, and both figures where a ranker was evaluated."""
        who = "gate open: the ranker orders the lists" if self.is_open else "gate closed: retrieval's order stands"
        if self.ranker_ndcg is None:
            return f"{who}; {self.reason}"
        return (
            f"{who}; on {self.n_lists:,} lists of validation users NDCG@10 is {self.ranker_ndcg:.4f} by the ranker, "
            f"{self.retrieval_ndcg:.4f} in retrieval's order"
        )


NOT_EVALUATED = Gate(is_open=False, reason="no ranker was evaluated")
