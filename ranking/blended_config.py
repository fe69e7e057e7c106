"""What the settings of every ranker begin with."""

from pydantic import BaseModel, ConfigDict, Field


class BlendedConfig(BaseModel):
    """A ranker whose score is blended with retrieval's."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    retrieval_weight: float | None = Field(
        None, ge=0, description="of retrieval's opinion in the final order, in deviations of both; none: learned"
    )
