"""IndexConfig: which index, and how hard an approximate one looks."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class IndexConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["auto", "exact", "scann"] = Field(
        "auto", description="auto: ScaNN where it is usable, else exact; scann: refuse where ScaNN is not usable"
    )
    leaves_share: float = Field(0.3, gt=0, le=1, description="share of a tree's leaves that a search opens")
    rescored_per_result: int = Field(
        10, ge=1, description="candidates scored exactly for each one asked for, after the quantised pass"
    )
