"""Raw tables as training takes them: checked and numbered, with the config and the holdout that suit them."""

import logging
from collections.abc import Iterable
from dataclasses import replace

from belfry.dataset.errors import InputError
from belfry.dataset.folds import Holdout, default_holdout
from belfry.dataset.history.repeats import Repeats, as_repeats
from belfry.dataset.interactions import Interactions
from belfry.dataset.prepare import Data, prepare
from belfry.dataset.split import Split, split_last_out, split_random, split_time
from belfry.dataset.tables import Tables
from belfry.dataset.validation.check import CheckReport, check, keep_repeats
from belfry.dataset.validation.features.table import LOG, column_uses, lines_of
from belfry.dataset.validation.policy import Policy
from belfry.pipeline.config import PipelineConfig, load_config

log = logging.getLogger(__name__)
columns_log = logging.getLogger(LOG)


def prepare_tables(
    tables: Tables,
    preset: str,
    holdout: Holdout | None,
    settings: Iterable[str],
    repeats: Repeats | None = None,
) -> tuple[Data, PipelineConfig, Holdout]:
    """Checked and numbered data, the config, and the holdout that was asked for or suits the data.

    Raises:
        InputError: a table or a setting is wrong; or `repeats` is none of the three, or contradicts a setting.
    """
    settings = with_repeats(settings, repeats)
    config = load_config(preset, holdout=holdout or "random", settings=settings)
    declared, policy = declare(tables, config)
    checked, report = check(declared, policy)
    report.tell()
    data = prepare(checked, config.event_weights, liked_from=config.data.liked_from)
    if columns_log.isEnabledFor(logging.INFO):
        columns_log.info("%s", "\n".join(lines_of(column_uses(declared, checked, data))))
    if config.repeats == "exclude" and (note := share_of_repeats(data.interactions, report)):
        log.warning("note: %s", note)
    holdout = holdout or suiting_holdout(config, data)
    return data, load_config(preset, holdout=holdout, settings=settings), holdout


def declare(tables: Tables, config: PipelineConfig) -> tuple[Tables, Policy]:
    """The tables with what the config says of their columns, and the policy to check them by."""
    declared = replace(tables, usage_columns=config.usage_columns, label_columns=config.label_columns)
    return declared, config.data if config.repeats == "exclude" else keep_repeats(config.data, tables)


def suiting_holdout(config: PipelineConfig, data: Data) -> Holdout:
    """The holdout where none is asked for."""
    return "random" if config.ranker is None else default_holdout(data.interactions)


def split_by(interactions: Interactions, holdout: Holdout, *, test_share: float, seed: int) -> Split:
    """A part to learn from and a part to judge by, as a holdout tells them apart; of `last`, one event of each user."""
    if holdout == "random":
        return split_random(interactions, test_share=test_share, seed=seed)
    return split_last_out(interactions) if holdout == "last" else split_time(interactions, share=1 - test_share)


def with_repeats(settings: Iterable[str], repeats: Repeats | None) -> list[str]:
    """The settings with what lists hold of seen items."""
    settings = list(settings)
    if repeats is None:
        return settings
    said = [text for text in settings if text.partition("=")[0].strip() == "repeats"]
    if any(as_repeats(None, text.partition("=")[2].strip(" \"'")) != as_repeats(None, repeats) for text in said):  # type: ignore[arg-type]  # which is checked there
        raise InputError(f"repeats={repeats!r} contradicts the setting {said[0]!r}; leave one of them out")
    return [*settings, f"repeats={as_repeats(None, repeats)}"]


def share_of_repeats(history: Interactions, report: CheckReport) -> str:
    """A note where most events repeat what their user had before; unordered, those were dropped as doubles."""
    n_events = len(history) + (0 if history.is_ordered else report.n_repeated_events)
    n_repeats = n_events - len(history.seen_items.item_num)
    if n_repeats <= n_events / 2:
        return ""
    return (
        f"interactions: {n_repeats / n_events:.0%} of the events are of an item that their user had before, and lists "
        "leave those out; for lists of what to play or buy again, train with --repeats allow or --repeats only"
    )
