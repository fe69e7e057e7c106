"""`update`: a published run and what came since -> a new run, published without training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np

from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.errors import ArtifactError, InputError
from belfry.dataset.features import FeatureColumns
from belfry.dataset.prepare import Data
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source
from belfry.dataset.sources.web.objects import place_of
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.jobs.updating.arrived import Arrived, read_arrived
from belfry.pipeline.jobs.updating.described import described
from belfry.pipeline.jobs.updating.drift import Drift
from belfry.pipeline.jobs.updating.fold import fold, policy_for
from belfry.pipeline.jobs.updating.item_columns import names_of_item_columns, write_item_columns
from belfry.pipeline.jobs.updating.moved import carry_models, copy_training, write_models
from belfry.pipeline.jobs.updating.numbering import Numbering
from belfry.pipeline.jobs.updating.past import NOTE, Past
from belfry.pipeline.jobs.updating.placement import Placement
from belfry.pipeline.jobs.updating.result import Update
from belfry.pipeline.runs.data.tables import (
    load_item_encoder,
    load_tables,
    load_user_encoder,
    save_encoders,
    save_tables,
)
from belfry.pipeline.runs.lock import hold
from belfry.pipeline.runs.manifest import RunInfo
from belfry.pipeline.runs.reader import Run, current_run, default_artifacts, find_run, is_artifacts, is_run
from belfry.pipeline.runs.remote.store import store_of
from belfry.pipeline.runs.signature import Signer, signer
from belfry.pipeline.runs.versions import installed_versions
from belfry.pipeline.runs.writer import check_place, publish, workplace
from belfry.pipeline.serving.load import config_of
from belfry.pipeline.serving.recommender import PathLike
from belfry.pipeline.training.smoke_test import check_answers
from belfry.pipeline.training.warm_start.parent import WARM_START

LOCK = ".updating"  # of the artifacts folder: held from the reading of a run to the publication of its successor
_KEPT_NOTES = ("sources", "source_choice", "left_out", WARM_START)  # on the weights, which stay


def update(
    run: PathLike | None = None,
    interactions: Source | None = None,
    items: Source | None = None,
    users: Source | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    artifacts: PathLike | None = None,
    keep_statistics: bool = False,
    sign: PathLike | None = None,
    require_signature: PathLike | None = None,
) -> Update:
    """Fold what came since into a run, without training, and publish what that gives as the current one.

    Histories, popularity, closed forms and the statistics of pair features become those of all events together; the
    weights of towers and ranker stay. New users and items get numbers.

    Args:
        run: an artifacts folder, whose current run is updated, or a run folder; by default `artifacts`, and without
            it as `Recommender.load`.
        interactions: what came since, as in `train`.
        items: likewise; a row of a known id takes the place of what is known of it.
        users: likewise.
        columns: as in `train`.
        delimiter: as in `train`.
        encoding: as in `train`.
        artifacts: where to publish; by default where the run lies.
        keep_statistics: what all users have made together stays too (popularity, closed forms, pair features), and
            histories alone move: users without new events keep their lists. Not with new items.
        sign: an ed25519 private key (PEM) to sign the new run with.
        require_signature: a public key (PEM) whose owner must have signed the run that is updated, as in
            `Recommender.load`, and signs the new one.

    Raises:
        InputError: a table is wrong, or does not fit the run; or another update is at work there.
        ArtifactError: the run is damaged.

    Examples:
        >>> from belfry import update
        >>> done = update("artifacts", "later.parquet")
        >>> done.is_published, done.n_new_users
        (True, 0)
    """
    reading = Reading.of(columns, delimiter, encoding)
    return update_run(
        run,
        interactions,
        items,
        users,
        reading=reading,
        artifacts=artifacts,
        keep_statistics=keep_statistics,
        sign=None if sign is None else Path(sign),
        require_signature=None if require_signature is None else Path(require_signature),
    )


def update_run(
    run: PathLike | None,
    interactions: Source | None,
    items: Source | None = None,
    users: Source | None = None,
    *,
    reading: Reading = AS_IT_IS,
    artifacts: PathLike | None = None,
    keep_statistics: bool = False,
    sign: Path | None = None,
    require_signature: Path | None = None,
) -> Update:
    """As `update`, with what the tables do not say themselves as `reading`."""
    started = perf_counter()
    place = Path(run or artifacts or default_artifacts())
    who = signer(sign, require_signature)
    find_run(place, require_signature)  # before a folder is made
    folder = Path(artifacts) if artifacts is not None else _artifacts_of(place)
    check_place(folder)
    with one_thread, hold(workplace(folder) / LOCK):
        job = _Job(find_run(place, require_signature), folder, _named_in(folder), keep_statistics, who)
        done = job.do(interactions, items, users, reading)
    return replace(done, seconds=perf_counter() - started)


@dataclass(frozen=True)
class _Job:
    run: Run
    artifacts: Path
    in_use: str | None  # what `current` names
    keep_statistics: bool
    signer: Signer | None

    def do(self, interactions: Source | None, items: Source | None, users: Source | None, reading: Reading) -> Update:
        run = self.run
        config = config_of(run)
        before = _data_of(run)
        policy = policy_for(before.interactions, config.data, config.repeats)
        config = config.model_copy(update={"data": policy})
        past = Past.of(run, before.interactions)
        kept = frozenset(names_of_item_columns(run, before.interactions.items))
        arrived = read_arrived(interactions, items, users, before, config, reading, kept=kept)
        numbering = Numbering.of(before.interactions, arrived.user_ids, arrived.item_ids)
        known = numbering.history(before.interactions)
        folded = fold(known, arrived.events, numbering, config.data, config.label_columns)
        is_given_twice = arrived.digest in past.lineage.taken
        if is_given_twice:
            folded = replace(folded, history=known, n_known=folded.n_given - folded.n_far, n_disliked=0, n_shown=0)
        data = described(replace(before, interactions=folded.history), numbering, arrived)
        features = data.features(folded.history)
        placement = Placement(numbering, past.trained, features)
        drift = Drift.of(folded.history, past)
        done = Update(
            parent=run.name,
            run=run.name,
            folder=run.folder,
            place=run.place,
            folded=folded,
            n_new_users=len(numbering.new_users),
            n_new_items=len(numbering.new_items),
            n_placed=placement.n_new_by_features,
            drift=drift,
        )
        is_told = not (_alike(features.users, before.users) and _alike(features.items, before.items))
        if not (folded.n_changed or not numbering.is_as_before or is_told or not data.titles.equals(before.titles)):
            run.files.check_unread()
            return done
        published = self._publish(config, data, placement, past, arrived, done)
        return replace(done, run=published.name, folder=published, place=self.artifacts / published.name)

    def _publish(
        self, config: PipelineConfig, data: Data, placement: Placement, past: Past, arrived: Arrived, done: Update
    ) -> Path:
        run, manifest = self.run, self.run.manifest
        info = RunInfo(
            preset=manifest.preset,
            seed=manifest.seed,
            holdout=manifest.holdout,
            config=manifest.config,
            versions=installed_versions(),
            input_hash=data.content_hash,
        )
        run.tell_who_signs(self.signer)
        with publish(
            self.artifacts, info, check=check_answers, last_check=self._check_in_use, signer=self.signer
        ) as writer:
            save_tables(placement.features, data.titles, writer.folder)
            save_encoders(data.user_encoder, data.item_encoder, writer.folder)
            write_item_columns(run, placement.numbering, arrived.items, writer.folder)
            if self.keep_statistics:
                notes = carry_models(run, placement, writer.folder)
            else:
                notes = write_models(run, config, placement, writer.folder)
            copy_training(run, writer.folder)
            past.trained.save(writer.folder)
            run.files.check_unread()
            writer.gate = manifest.gate
            lineage = past.after(run.name, arrived.digest).model_dump(mode="json")
            writer.notes |= {name: manifest.notes[name] for name in _KEPT_NOTES if name in manifest.notes}
            writer.notes |= {**notes, NOTE: {"lineage": lineage, **done.noted, "kept_statistics": self.keep_statistics}}
        assert writer.published
        return writer.published

    def _check_in_use(self) -> None:
        """See that no run was published in the meantime, which would lose its place.

        Raises:
            InputError: one was.
        """
        if (named := _named_in(self.artifacts)) != self.in_use:
            raise InputError(
                f"{place_of(self.artifacts)}: run {named} was published while {self.run.name} was updated; update that "
                "one"
            )


def _data_of(run: Run) -> Data:
    """What a run holds of users, items and events.

    Raises:
        ArtifactError: a table is not as it was published, or of another form.
    """
    features, titles = load_tables(run.root)
    return Data(
        features.history,
        features.users,
        features.items,
        titles,
        user_encoder=load_user_encoder(run.root, features.users),
        item_encoder=load_item_encoder(run.root, features.items),
    )


def _alike(one: FeatureColumns, other: FeatureColumns) -> bool:
    """Whether both say the same of everybody."""
    return all(np.array_equal(values, other.to_arrays()[name]) for name, values in one.to_arrays().items())


def _artifacts_of(place: Path) -> Path:
    """The artifacts folder that `place` is, or that the run in `place` lies in.

    Raises:
        InputError: the run lies elsewhere.
    """
    if not is_run(place):
        return place
    folder = place.parent if store_of(place) else place.absolute().parent
    if not is_artifacts(folder):
        raise InputError(f"{place_of(place)}: lies in no artifacts folder; name one to publish into with --artifacts")
    return folder


def _named_in(artifacts: Path) -> str | None:
    """The run in use; None where there is none."""
    try:
        return current_run(artifacts).name
    except ArtifactError:
        return None
