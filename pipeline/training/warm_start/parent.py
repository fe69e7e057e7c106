"""Parent: the published run that a training goes on from, and whether tables and settings are those of its weights."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from pydantic import BaseModel, TypeAdapter, ValidationError

from belfry.dataset import columns
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.encoding.columns import ListEncoder
from belfry.dataset.encoding.table import FeatureEncoder, encode_by
from belfry.dataset.errors import ArtifactError, InputError, shown
from belfry.dataset.features import FeatureTables
from belfry.dataset.folds import Holdout
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data
from belfry.dataset.tables import Tables
from belfry.pipeline.config import PipelineConfig, SourceConfig
from belfry.pipeline.kinds import ranker_kind, source_kind
from belfry.pipeline.runs.data.tables import load_item_encoder, load_tables, load_user_encoder
from belfry.pipeline.runs.reader import Run, find_run
from belfry.pipeline.runs.trained import TrainedOn
from belfry.pipeline.serving.load import (
    NEW_ITEM_OFFSET,
    SOURCES,
    SOURCES_FILE,
    config_of,
    load_error_variance,
    read_sources,
)
from belfry.pipeline.training.retrieval_stage import Tuning
from belfry.retrieval.base import EarlierWeights

# Settings that weights depend on: those of a training that goes on from them are the same.
_OF_WEIGHTS = ("retrieval", "sources", "ranker", "pair_features", "repeats", "event_weights", "usage_columns")
_N_NAMED = 5  # in a message
_OF_SOURCES: TypeAdapter[dict[str, dict[str, float | None]]] = TypeAdapter(dict[str, dict[str, float | None]])
_LEFT_OUT: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])
WARM_START = "warm_start"  # key of the notes of a run

Noted = TypeVar("Noted")

log = logging.getLogger(__name__)


class Lineage(BaseModel):
    """Where a run that was trained on comes from; other notes are for people."""

    from_nothing: str  # the run that was trained from nothing
    n_steps: int  # of training on since


@dataclass(frozen=True)
class Parent:
    """A published run; its files are checked as they are read."""

    run: Run
    asked: PipelineConfig  # as it was trained, with all sources that it tried
    features: FeatureTables  # by its numbers
    user_encoder: FeatureEncoder
    item_encoder: FeatureEncoder

    @classmethod
    def open(cls, path: Path) -> "Parent":
        """The run of a folder, or the current one of an artifacts folder.

        Raises:
            ArtifactError: it is damaged, or of another format.
            InputError: it cannot be gone on from.
        """
        run = find_run(path)
        config = config_of(run)
        if config.ranker and ranker_kind(config.ranker).family != "listwise":
            raise InputError(
                f"run {run.name}: its ranker {config.ranker.kind!r} learns from ratings and cannot go on from weights; "
                "train from nothing"
            )
        features, _ = load_tables(run.root)
        encoders = load_user_encoder(run.root, features.users), load_item_encoder(run.root, features.items)
        return cls(run, config, features, *encoders)

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def holdout(self) -> Holdout:
        return cast(Holdout, self.run.manifest.holdout)

    @cached_property
    def sources(self) -> dict[str, SourceConfig]:
        """Those that stayed, with the weights of their scores."""
        return read_sources(self.run.path("serving") / SOURCES_FILE)

    @property
    def left_out(self) -> dict[str, str]:
        """Sources that did not stay, with the reason."""
        return self._noted(_LEFT_OUT, "left_out")

    @property
    def lineage(self) -> Lineage:
        """Raises ArtifactError: the run says of itself what no run does."""
        if WARM_START not in self.run.manifest.notes:
            return Lineage(from_nothing=self.name, n_steps=0)
        return self._noted(TypeAdapter(Lineage), WARM_START)

    def tuning(self, config: PipelineConfig) -> Tuning:
        """What its folds decided, under a config that fits its weights."""
        first = self.run.path("serving") / SOURCES / next(iter(self.sources))
        known = load_error_variance(first, self.features)
        return Tuning(
            config.model_copy(update={"sources": tuple(self.sources.values())[1:]}),
            self._epochs,
            {name: float(source.weight or 0) for name, source in self.sources.items()},
            {name: note.get(NEW_ITEM_OFFSET) or 0.0 for name, note in self._of_sources.items()},
            variance_weights=known.weights if known else None,
        )

    def weights(self, history_of_today: FeatureTables) -> dict[str, EarlierWeights]:
        """Of the sources that can go on from them, by name.

        Towers that folds trained for no epoch are none: their start, in closed form, is better than what follows.
        """
        trained = TrainedOn.of(self.run, self.features.history)
        rows = trained.items.numbers_of(history_of_today.history.items)
        rows = np.where(trained.of_items[rows] > 0, rows, 0).astype(np.int32)
        folder = self.run.path("training") / SOURCES
        return {
            name: EarlierWeights(folder / name, rows)
            for name, source in self.sources.items()
            if source_kind(source.model).trains_on and self._epochs.get(name)
        }

    def check_settings(self, config: PipelineConfig) -> None:
        """Refuse settings under which its weights would be others.

        Raises:
            InputError: names the first that differ, with both values.
        """
        ours, theirs = (one.model_dump(mode="json", include=set(_OF_WEIGHTS)) for one in (config, self.asked))
        if found := list(_differences(ours, theirs)):
            more = f"; and {len(found) - _N_NAMED} more" if len(found) > _N_NAMED else ""
            raise InputError(
                f"run {self.name} was trained by other settings: {'; '.join(found[:_N_NAMED])}{more}. Leave preset and "
                "settings out to go on with those of the run, or train from nothing"
            )

    def described(self, data: Data, tables: Tables) -> Data:
        """The same data, their features as the weights read them: a category that these do not know is unknown.

        Raises:
            InputError: ids or columns are not those of the run.
        """
        before, now = self.features.history, data.interactions
        for label, known, ids in (("user_id", before.users, now.users), ("item_id", before.items, now.items)):
            if known.ids.type != ids.ids.type:
                raise InputError(
                    f"{label} is {ids.ids.type}, in run {self.name} it is {known.ids.type}; 1 and '1' are never merged"
                )
        if not before.items.numbers(now.items.ids).any():
            raise InputError(f"these tables hold no item of run {self.name}; train from nothing")
        self._check_ranker_knows(before, now)
        for table, found, wanted in (
            ("users", data.user_encoder, self.user_encoder),
            ("items", data.item_encoder, self.item_encoder),
        ):
            self._check_columns(table, found, wanted)
            if unread := [name for name in found.encoders if name not in wanted.encoders]:
                log.warning("%s: %s left out, the weights of run %s do not read it", table, _named(unread), self.name)
        return replace(
            data,
            users=encode_by(self.user_encoder, tables.users, now.users, columns.USER_ID),
            items=encode_by(self.item_encoder, tables.items, now.items, columns.ITEM_ID),
            user_encoder=self.user_encoder,
            item_encoder=self.item_encoder,
        )

    def _check_ranker_knows(self, before: Interactions, now: Interactions) -> None:
        if (ranker := self.asked.ranker) is None:
            return
        kind = ranker_kind(ranker)
        for who, is_known, one, other in (
            ("users", kind.knows_users, before.users, now.users),
            ("items", kind.knows_items, before.items, now.items),
        ):
            if is_known and one.content_hash != other.content_hash:
                raise InputError(
                    f"run {self.name}: its ranker {ranker.kind!r} knows {who} by their numbers, and these tables have "
                    f"others than the {len(one):,} of the run; train from nothing"
                )

    def _check_columns(self, label: str, found: FeatureEncoder, wanted: FeatureEncoder) -> None:
        wrong = [name for name, encoder in wanted.encoders.items() if _kind(found.encoders.get(name)) != _kind(encoder)]
        if wrong:
            raise InputError(
                f"{label}: {_named(wrong)} of run {self.name} missing, empty or of another kind here; hand in the "
                "tables that it was trained with and what came since, or train from nothing"
            )

    @cached_property
    def _of_sources(self) -> dict[str, dict[str, float | None]]:
        return self._noted(_OF_SOURCES, "sources")

    @cached_property
    def _epochs(self) -> dict[str, int]:
        """By name of the source, of a training from nothing; none where it has no towers."""
        epochs = {name: note.get("epochs") for name, note in self._of_sources.items()}
        return {name: int(n_epochs) for name, n_epochs in epochs.items() if n_epochs is not None}

    def _noted(self, adapter: TypeAdapter[Noted], key: str) -> Noted:
        try:
            return adapter.validate_python(self.run.manifest.notes.get(key) or {}, strict=True)
        except ValidationError as error:
            raise ArtifactError(f"run {self.name}: notes.{key} is not as training writes it; train again") from error


def _kind(encoder: object) -> tuple[type, bool]:
    return type(encoder), isinstance(encoder, ListEncoder) and encoder.of_words


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return f"column{'s' * (len(names) > 1)} {', '.join(map(shown, names[:_N_NAMED]))}{more}"


def _differences(ours: object, theirs: object, place: str = "") -> Iterator[str]:
    """Keys whose values differ, with both."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in {**ours, **theirs}:
            yield from _differences(ours.get(key), theirs.get(key), f"{place}.{key}".lstrip("."))
    elif ours != theirs:
        yield f"{place} is {shown(json.dumps(ours))} here and {shown(json.dumps(theirs))} in the run"
