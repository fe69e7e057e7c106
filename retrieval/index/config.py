"""IndexConfig: which index, and how much of the true best an approximate one must find."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class IndexConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["auto", "exact", "scann"] = Field(
        "auto", description="auto: ScaNN where it is usable, else exact; scann: refuse where ScaNN is not usable"
    )
    recall_target: float = Field(
        0.99,
        gt=0,
        lt=1,
        description="share of the 200 true best of a query that an approximate index must find; each build measures "
        "what that takes",
    )


class Effort(BaseModel):
    """How hard an approximate index looks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    leaves: int = Field(ge=1)  # of a tree that a search opens
    rescored_per_result: int = Field(ge=1)  # candidates scored exactly for each one asked for, after quantised scores
