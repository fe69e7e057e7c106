"""From data to a published run: train, write both forms, move into place."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pydantic import JsonValue

from belfry.dataset.folds import Holdout
from belfry.dataset.prepare import Data
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.progress import Work
from belfry.pipeline.runs.data.tables import save_encoders, save_tables
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.signature import Signer
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.runs.writer import publish
from belfry.pipeline.serving.load import NEW_ITEM_OFFSET, POPULARITY, RANKER, SOURCES, SOURCES_ADAPTER, SOURCES_FILE
from belfry.pipeline.serving.rules.item_columns import save_item_columns
from belfry.pipeline.training.curves import notes_of_curves, write_training_curves
from belfry.pipeline.training.retrieval_stage import Tuning
from belfry.pipeline.training.smoke_test import check_answers
from belfry.pipeline.training.train import Trained, train
from belfry.pipeline.training.warm_start.parent import WARM_START, Parent
from belfry.pipeline.training.warm_start.train_on import train_on
from belfry.ranking.error_variance import ErrorVariance, KnownRatings

EXPORT = "export"  # a stage of the work


def train_and_publish(
    data: Data,
    config: PipelineConfig,
    *,
    preset: str,
    holdout: Holdout,
    seed: int,
    artifacts: Path,
    work: Work | None = None,
    workers: int = 1,
    address: str | None = None,
    budget_s: float | None = None,
    before_publishing: Callable[[Trained, Path], None] | None = None,
    parent: Parent | None = None,
    signer: Signer | None = None,
) -> Path:
    """Train both stages on `data` and publish them; returns the run's folder. Until then the last run stays current.

    Args:
        work: what this is a part of; told of every step. Its seconds so far are noted in the run.
        workers, address, budget_s: as in `belfry.pipeline.training.train.train`.
        parent: the run whose weights to go on from, in the place of nothing; see `belfry.pipeline.training.warm_start`.
        before_publishing: may look at what was trained and add files to the run's folder, such as an evaluation.
        signer: signs the run.

    Raises:
        InputError: nothing can be written to `artifacts`, or the data cannot be learned from.
        DivergenceError: a loss or a feature is not finite.
        BelfryError: what was trained cannot answer.
    """
    work = work or Work()
    work.expect(EXPORT)
    info = RunInfo(
        preset=preset,
        seed=seed,
        holdout=holdout,
        config=config.model_dump(mode="json"),
        versions=installed_versions(),
        input_hash=data.content_hash,
    )
    with publish(artifacts, info, check=check_answers, signer=signer) as writer:
        if parent:
            trained, writer.notes[WARM_START] = train_on(data, config, parent, seed=seed, work=work)
        else:
            trained = train(
                data,
                config,
                holdout=holdout,
                seed=seed,
                work=work,
                workers=workers,
                address=address,
                budget_s=budget_s,
            )
        with work.step(EXPORT):
            save_tables(trained.two_stage.features, data.titles, writer.folder)
            save_encoders(data.user_encoder, data.item_encoder, writer.folder)
            save_item_columns(data.item_table, data.interactions.items, writer.folder)
            _export(trained, writer.folder / "serving")
            _save(trained, writer.folder / "training")
        if before_publishing:
            before_publishing(trained, writer.folder)
        writer.gate = trained.gate
        writer.notes |= {
            "index": asdict(trained.measurement),
            "sources": _notes_of_sources(trained.first.tuning),
            "source_choice": _notes_of_choice(trained.first.tuning),
            "left_out": dict(trained.left_out),
            "curves": notes_of_curves(trained),
            "seconds": {
                stage: {"cpu": round(seconds.cpu, 2), "wall": round(seconds.wall, 2)}
                for stage, seconds in work.stopwatch.by_stage().items()
            },
        }
        del trained  # and what was computed of the history: the run is opened next, which takes as much once more
        data.interactions.computed.clear()
    assert writer.published
    return writer.published


def _export(trained: Trained, folder: Path) -> None:
    """What `load_serving` reads: graphs, vectors, index and arrays; data only, nothing in it can run code."""
    first = trained.first
    folder.mkdir()
    for name, source in first.sources.items():
        source.export(folder / SOURCES / name, first.features)
    if first.tuning.variance_weights is not None:
        known = KnownRatings.of(first.features.history)
        ErrorVariance.of(first.tuning.variance_weights, known).save(folder / SOURCES / next(iter(first.sources)))
    weighed = {
        name: source.model_copy(update={"weight": first.tuning.weights[name]})
        for name, source in trained.config.named_sources.items()
    }
    (folder / SOURCES_FILE).write_bytes(SOURCES_ADAPTER.dump_json(weighed, indent=2))
    first.popularity.save(folder / POPULARITY)
    if trained.ranker:
        trained.ranker.export(folder / RANKER)


def _save(trained: Trained, folder: Path) -> None:
    """The weights, for whoever trains on, and how the training went."""
    for name, source in trained.first.sources.items():
        source.save(folder / SOURCES / name)
    write_training_curves(trained.first.towers.model, folder / "curves")
    if trained.ranker:
        trained.ranker.save(folder / RANKER)


def _notes_of_sources(tuning: Tuning) -> JsonValue:
    """Of every source, the first one first: its weight, its epochs, and what folds say of its scores of new items."""
    return {
        name: {
            "weight": weight,
            "epochs": tuning.epochs.get(name),
            NEW_ITEM_OFFSET: tuning.new_item_offsets.get(name, 0.0),
        }
        for name, weight in tuning.weights.items()
    }


def _notes_of_choice(tuning: Tuning) -> JsonValue:
    """What each source that was tried gave alone, and added; none where there was nothing to choose."""
    choice = tuning.choice
    if choice is None:
        return None
    return {"alone": {**choice.alone}, "added": {**choice.gains}, "together": choice.worth}
