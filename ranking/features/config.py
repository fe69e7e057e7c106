"""Settings of the pair features; kept apart from the code so that reading a config loads nothing else."""

from typing import Annotated, Literal

from pydantic import Field

from belfry.layers.config import Settings


class PairFeaturesConfig(Settings):
    """Settings of the pair features: what is computed about a user and a candidate."""

    request_time: Literal["user_last", "history_end"] = Field(
        "user_last", description="the time a list is made for: the user's newest event, or the newest event of all"
    )
    half_life: float = Field(
        5.0, gt=0, description="items after which the weight in the recency-weighted history falls by half"
    )
    recent_history: int = Field(32, ge=1, description="newest items of the recency-weighted history")
    max_history: int = Field(1000, ge=1, description="newest items of a history that are read at all")
    n_neighbours: int = Field(80, ge=1, description="neighbours kept for each watched item")
    shrink: float = Field(30.0, ge=0, description="added to the divisor of a cosine")
    rule_steps: int = Field(20, ge=1, description="events between two watches of a sequential rule, at most")
    rule_backward: float = Field(0.5, ge=0, description="weight of a rule that is read from later to earlier item")
    ease_rank: int = Field(128, ge=1, description="singular vectors that EASE is solved in")
    ease_l2: float = Field(12.0, gt=0, description="regularisation of EASE per square root of the number of users")
    svd_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (16, 48), description="singular vectors; an affinity for each"
    )
    session_gap_s: int = Field(
        60, ge=0, description="seconds between two watches of one session; 0: no columns of co-occurrence in sessions"
    )
    session_steps: int = Field(60, ge=1, description="events between two watches of one session, at most")
    session_neighbours: int = Field(32, ge=1, description="neighbours by session kept for each watched item")
    time_bins: int = Field(256, ge=1, description="parts of equally many events that time is cut into, at most")
    segment_smoothing: float = Field(20.0, gt=0, description="watches that a user segment's lift is shrunk by")
    repeats: bool = Field(
        False, description="columns of how often and when the user had the candidate before; set by `repeats`"
    )
    max_categories: int = Field(100, ge=2, description="user columns with more categories make no segments")
