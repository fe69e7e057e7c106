"""IndexConfig: which index, and how much of the true best an approximate one must find."""

from typing import Literal, Self

from pydantic import Field

from belfry.layers.config import Settings

_TARGET, _TARGET_OF_NO_WEIGHT = 0.99, 0.9


class IndexConfig(Settings):
    kind: Literal["auto", "exact", "scann"] = Field(
        "auto", description="auto: ScaNN where it is usable, else exact; scann: refuse where ScaNN is not usable"
    )
    recall_target: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="share of the 200 true best of a query that an approximate index must find; each build measures "
        "what that takes; none: 0.99, or 0.9 where the source has a weight of 0, so that its scores order nothing",
    )

    @property
    def target(self) -> float:
        return self.recall_target or _TARGET

    def for_weight(self, weight: float | None) -> Self:
        """The same for a source whose scores have this weight in the order of candidates; None: not known yet."""
        if weight != 0 or self.recall_target:
            return self
        return self.model_copy(update={"recall_target": _TARGET_OF_NO_WEIGHT})


class Effort(Settings):
    """How hard an approximate index looks."""

    leaves: int = Field(ge=1)  # of a tree that a search opens
    rescored_per_result: int = Field(ge=1)  # candidates scored exactly for each one asked for, after quantised scores
