"""Training on from a published run: towers go on from its weights, the rest is kept, or computed anew of all data."""

import logging
from dataclasses import replace

from pydantic import JsonValue

from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.kinds import source_kind
from belfry.pipeline.progress import Work
from belfry.pipeline.runs.gate import Gate
from belfry.pipeline.training.retrieval_stage import FirstStage, fit_first_stage, measure
from belfry.pipeline.training.train import LAST_FIRST_STAGE, LIBRARIES, RANKER, Trained, put_together
from belfry.pipeline.training.warm_start.parent import Parent
from belfry.pipeline.training.warm_start.ranker import CarriedRanker, ranker_of
from belfry.pipeline.training.warm_start.since import gate_of
from belfry.ranking.context.statistics import ContextStatistics
from belfry.ranking.features.pair_features import PairFeatures

log = logging.getLogger(__name__)


def train_on(
    data: Data, config: PipelineConfig, parent: Parent, *, seed: int, work: Work
) -> tuple[Trained, dict[str, JsonValue]]:
    """Both stages of today, without folds, and what to note of them: all that folds decide is as in the parent.

    Kept: the choice of the sources and their weights, and the ranker with its blend and calibration. Trained on: towers
    whose kind can. Anew, of all data: closed forms, other learned sources, popularity, and what the ranker reads. The
    gate is judged again where enough came since.

    Raises:
        ArtifactError: the weights are not what the parent's settings make, or not as they were published.
        InputError: the columns are not those that the ranker was trained with.
        DivergenceError: a loss is not finite.
    """
    with work.step(LIBRARIES):
        source_kind(config.retrieval).make_towers(config.retrieval)
    tuning, features = parent.tuning(config), data.features(data.interactions)
    earlier = parent.weights(features)
    if tuning.config.ranker:
        work.expect(RANKER)
    first = fit_first_stage(
        data,
        data.interactions,
        tuning.config,
        seed=seed,
        tuning=tuning,
        work=work,
        stage=LAST_FIRST_STAGE,
        part="everything",
        earlier=earlier,
    )
    epochs = first.tuning.epochs
    first = replace(first, tuning=tuning)  # a later training that starts from nothing trains as long as the first did
    with work.step(RANKER):
        ranker, gate = _ranker(parent, first, data, seed=seed)
    with work.step(LAST_FIRST_STAGE, text="index"):
        two_stage = put_together(first, tuning.config, ranker if gate.is_open else None)
        measurement = measure(first, top_k=config.n_candidates, seed=seed)
    parent.run.files.check_unread()
    note = _note(parent, first, data, epochs, list(earlier), gate)
    return Trained(first, tuning.config, parent.left_out, measurement, ranker, gate, two_stage), note


def _ranker(parent: Parent, first: FirstStage, data: Data, *, seed: int) -> tuple[CarriedRanker | None, Gate]:
    """The ranker over today's statistics, and whether it may order lists."""
    before = ranker_of(parent)
    if before is None:
        return None, parent.run.manifest.gate
    pair_features = PairFeatures.fit(first.features, parent.asked.pair_features, first.label_model)
    history = first.features.history
    context = ContextStatistics.fit(history, first.towers.vectors) if history.context else None
    ranker = CarriedRanker(parent.run, before, pair_features, context)
    some = first.retriever.retrieve(history.user_num[:1], first.features, top_k=1, exclude=history.seen_items)
    ranker.describe(some, first.features)  # which refuses other columns than it was trained with
    return ranker, gate_of(parent, before, data.interactions, seed=seed)


def _note(
    parent: Parent, first: FirstStage, data: Data, epochs: dict[str, int], trained_on: list[str], gate: Gate
) -> dict[str, JsonValue]:
    """What the manifest says of where a run comes from; logged, too."""
    anew = [name for name in first.sources if name not in trained_on]
    n_events = len(data.interactions) - len(parent.features.history)
    log.info(
        "from run %s: trained on %s; anew %s and all statistics; kept the weights of the sources and the ranker; "
        "gate %s; %+d events",
        parent.name,
        ", ".join(trained_on) or "nothing",
        ", ".join(anew) or "no source",
        "kept" if gate == parent.run.manifest.gate else "judged by what came since",
        n_events,
    )
    return {
        "parent": parent.name,
        "from_nothing": parent.lineage.from_nothing,
        "n_steps": parent.lineage.n_steps + 1,
        "trained_on": {name: epochs.get(name) for name in trained_on},
        "anew": [*anew],
        "kept": ["sources", "weights of sources", *(["ranker"] if parent.asked.ranker else [])],
        "gate_is_kept": gate == parent.run.manifest.gate,
        "n_events_since": n_events,
    }
