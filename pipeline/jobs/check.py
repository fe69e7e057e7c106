"""`check`: what training would take tables for, and what it would refuse, without training."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from belfry.dataset import columns
from belfry.dataset.errors import InputError
from belfry.dataset.folds import Holdout
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.sources.open import read_data
from belfry.dataset.sources.reading import AS_IT_IS, Reading
from belfry.dataset.sources.tabular import Source, read_table, read_tables
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import examine
from belfry.dataset.validation.features.table import ColumnUse, column_uses, lines_of
from belfry.dataset.validation.usual_names import remedy
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.jobs.training_data import declare, share_of_repeats, suiting_holdout, with_repeats
from belfry.pipeline.kinds import ranker_kind
from belfry.pipeline.progress import silent
from belfry.pipeline.training.retrieval_stage import training_folds
from belfry.pipeline.training.sources import keep_usable
from belfry.pipeline.training.trainer_registry import make_trainer


@dataclass(frozen=True)
class TableCheck:
    """What training would make of some tables."""

    preset: str
    errors: tuple[str, ...]  # training would refuse by these
    notes: tuple[str, ...] = ()
    columns: tuple[ColumnUse, ...] = ()
    n_users: int = 0
    n_items: int = 0
    n_events: int = 0
    holdout: Holdout | None = None
    sources: tuple[str, ...] = ()  # of candidates, that the data allow
    left_out: tuple[tuple[str, str], ...] = ()  # sources that they do not, with the reason

    def lines(self) -> list[str]:
        """For people."""
        lines = [*lines_of(self.columns, most=None), ""] if self.columns else []
        lines += [f"error: {error}" for error in self.errors] + [f"note: {note}" for note in self.notes]
        if self.n_events:
            lines.append(f"{self.n_events:,} watches of {self.n_users:,} users, {self.n_items:,} items")
        if self.errors:
            return [*lines, "training would refuse these tables"]
        lines += [f"source {name} is left out: {reason}" for name, reason in self.left_out]
        return [*lines, f"training would take preset {self.preset}, holdout {self.holdout}, {', '.join(self.sources)}"]

    def to_json(self) -> str:
        """For programs."""
        return json.dumps({"can_train": not self.errors, **asdict(self), "left_out": dict(self.left_out)}, indent=2)


@dataclass(frozen=True)
class Examined:
    """Tables, and what training would make of them."""

    found: TableCheck
    config: PipelineConfig
    raw: Tables | None = None  # None: they cannot be read
    checked: Tables | None = None
    data: Data | None = None  # None: they would be refused
    n_doubles: int = 0  # rows dropped because they repeat an earlier one


class Asked(TypedDict, total=False):
    """What may be asked of tables beside their names."""

    items: Source | None
    users: Source | None
    ratings: Source | None
    reading: Reading
    preset: str
    holdout: Holdout | None
    settings: Iterable[str]
    repeats: Repeats | None
    data_folder: Path | None  # where MovieLens files lie


def check_tables(*tables: Source, **asked: Unpack[Asked]) -> TableCheck:
    """The whole report on tables that `belfry.train` could be handed, with the same arguments.

    Args:
        tables: the interactions first, or alone what `belfry run --data` takes; others are items, users or ratings by
            their id columns.

    Raises:
        InputError: a setting is wrong, or it cannot be told what a table is. What is wrong with the tables is reported.
    """
    return examine_tables(*tables, **asked).found


def examine_tables(
    *tables: Source,
    items: Source | None = None,
    users: Source | None = None,
    ratings: Source | None = None,
    reading: Reading = AS_IT_IS,
    preset: str = "default",
    holdout: Holdout | None = None,
    settings: Iterable[str] = (),
    repeats: Repeats | None = None,
    data_folder: Path | None = None,
) -> Examined:
    """As `check_tables`, with the tables themselves.

    Raises:
        InputError: as there.
    """
    settings = with_repeats(settings, repeats)
    config = load_config(preset, holdout=holdout or "random", settings=settings)
    named = {"items": items, "users": users, "ratings": ratings}
    for table in tables[1:]:
        role = _role_of(table, reading)
        if named[role] is not None:
            raise InputError(f"{table}: is a second table of {role}; hand in one")
        named[role] = table
    try:
        if len(tables) == 1 and isinstance(tables[0], str) and not any(table is not None for table in named.values()):
            raw = read_data(tables[0], data_folder, reading)
        else:
            raw = read_tables(tables[0], named["items"], named["users"], ratings=named["ratings"], reading=reading)
    except InputError as error:
        return Examined(TableCheck(preset, (str(error),)), config)
    return _examine(raw, config, preset, holdout, settings)


def _role_of(table: Source, reading: Reading) -> str:
    names = read_table(table, reading).column_names
    match columns.USER_ID in names, columns.ITEM_ID in names:
        case True, True:
            return "ratings"
        case False, True:
            return "items"
        case True, False:
            return "users"
    raise InputError(
        f"{table}: has neither user_id nor item_id: {remedy((columns.ITEM_ID,), names, 'items')}; or say what it is by "
        "--items, --users or --ratings"
    )


def _examine(
    raw: Tables, config: PipelineConfig, preset: str, holdout: Holdout | None, settings: Iterable[str]
) -> Examined:
    declared, policy = declare(raw, config)
    checked, report = examine(declared, policy)
    notes = [str(finding) for finding in report.findings if finding.action != "error"]
    errors = [str(finding) for finding in report.errors]
    found = TableCheck(preset, tuple(errors), tuple(notes))
    refused = Examined(replace(found, columns=tuple(column_uses(declared, checked, None))), config, raw)
    if errors:
        return refused
    try:
        data = prepare(checked, config.event_weights, liked_from=config.data.liked_from, tell=notes.append)
    except InputError as error:
        return replace(refused, found=replace(refused.found, errors=(str(error),), notes=tuple(notes)))
    if config.repeats == "exclude" and (note := share_of_repeats(data.interactions, report)):
        notes.append(note)
    holdout = holdout or suiting_holdout(config, data)
    config = load_config(preset, holdout=holdout, settings=settings)
    found = replace(
        found,
        notes=tuple(notes),
        columns=tuple(column_uses(declared, checked, data)),
        n_users=len(data.interactions.users),
        n_items=len(data.interactions.items),
        n_events=len(data.interactions),
        holdout=holdout,
    )
    examined = Examined(found, config, raw, checked, data, report.n_repeated_events)
    try:
        usable, left_out = keep_usable(config, data)
        _check_training(usable, data, holdout)
    except InputError as error:
        return replace(examined, found=replace(found, errors=(str(error),)))
    found = replace(found, sources=tuple(usable.named_sources), left_out=tuple(left_out.items()))
    return replace(examined, found=found)


def _check_training(config: PipelineConfig, data: Data, holdout: Holdout) -> None:
    """Raise what training would raise before it learns."""
    if config.ranker is not None and ranker_kind(config.ranker).family == "ratings":
        make_trainer(data, config, seed=0, progress=silent).close()
    if config.needs_folds:
        next(training_folds(data, config, holdout, seed=0))
