"""Parts: what a Recommender answers from."""

from dataclasses import dataclass, field
from typing import Self

import pyarrow as pa

from belfry.dataset.encoding.table import FeatureEncoder
from belfry.dataset.event_weights import EventWeights
from belfry.dataset.history import Repeats
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.pipeline.runs.reader import Run
from belfry.pipeline.serving.load import load_run
from belfry.pipeline.serving.two_stage import TwoStage


@dataclass(frozen=True)
class Parts:
    """Both stages of a run, and what is known of it beside them."""

    run: Run
    two_stage: TwoStage
    titles: pa.Array  # [n_items] in the order of the items' numbers; null where an item has none
    event_weights: EventWeights
    reads_history: bool  # whether all towers read histories, so that new events can be folded in
    policy: Policy = DEFAULT_POLICY  # of the tables that it was trained on
    repeats: Repeats = "exclude"  # what the run was trained for: its lists without a word about seen items
    folded: str = ""  # hash of the watches that were folded in since the run was read
    user_encoder: FeatureEncoder = field(default_factory=FeatureEncoder)  # which made the features of its users

    @classmethod
    def read(cls, run: Run) -> Self:
        """Those of a run, whose files are checked as they are read.

        Raises:
            ArtifactError: the run is damaged, or lacks one.
        """
        served = load_run(run)
        config = served.config
        return cls(
            run=run,
            two_stage=served.two_stage,
            titles=served.titles,
            event_weights=config.event_weights,
            reads_history=config.reads_history,
            policy=config.data,
            repeats=config.repeats,
            user_encoder=served.user_encoder,
        )
