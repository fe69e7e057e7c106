"""Which preset, holdout and sources fit some data, and why."""

from collections.abc import Iterator

import numpy as np

from belfry.dataset.prepare import Data
from belfry.evaluation.reports.description.result import Advice
from belfry.pipeline.config import PipelineConfig
from belfry.pipeline.jobs.check import TableCheck

_MANY_RATED = 0.5  # of the watches
_MANY_LOW = 0.1
_HOLDOUTS = {
    "time": "watches have times: the newest ones stand in for the future while training decides, as in use",
    "last": "rows stand in order, without times: each user's last watches stand in for the future",
    "random": "a random part of the watches stands in for the future; with times, or an order, the newest ones would",
}
_NOBODY_RETURNS = (
    "watches have times, but hardly anybody of before comes back in the newest part, so that a random part stands in "
    "for the future"
)


def advise(found: TableCheck, config: PipelineConfig, data: Data, *, is_asked: bool) -> Iterator[Advice]:
    """On the training of data that it would take.

    Args:
        is_asked: whether the caller named the holdout.
    """
    history = data.interactions
    rated = np.isfinite(history.rating) if history.rating is not None else np.zeros(0, np.bool_)
    yield Advice("--preset", found.preset, _why_preset(found.preset, len(rated) > 0 and rated.mean() >= _MANY_RATED))
    assert found.holdout is not None  # what would be refused has no advice
    is_timed = found.holdout == "random" and history.timestamp_s is not None and not is_asked
    why = _NOBODY_RETURNS if is_timed and config.ranker is not None else _HOLDOUTS[found.holdout]
    yield Advice("--holdout", found.holdout, "asked for" if is_asked else why)
    yield Advice(
        "sources",
        ", ".join(found.sources),
        "these can use the data; training tries each on validation users and keeps those that add something",
    )
    for name, reason in found.left_out:
        yield Advice("left out", name, reason)
    n_repeats = len(history) - len(history.seen_items.item_num)
    share = n_repeats / max(1, len(history))
    if share > 0.5 and config.repeats == "exclude":
        why = f"{share:.0%} of the watches are of what their user had before, and by default lists leave those out"
        yield Advice("--repeats", "allow", why)
    else:
        why = f"{share:.0%} of the watches are of what their user had before"
        yield Advice("--repeats", config.repeats, why)
    if rated.any() and config.data.liked_from is None:
        assert history.rating is not None
        rating = history.rating[rated]
        middle = (float(rating.min()) + float(rating.max())) / 2
        if (low := float((rating < middle).mean())) >= _MANY_LOW:
            yield Advice(
                "--set",
                f"data.liked_from={np.ceil(middle):g}",
                f"{low:.0%} of the ratings are below {middle:g}, and count as watches like all others; with this they "
                "count as dislikes and are kept out of lists; belfry compare tells which is better",
            )
    if not data.items.names:
        yield Advice("--items", "a table", "without columns of items, one that nobody has watched yet cannot be placed")
    if not data.users.names:
        yield Advice("--users", "a table", "without columns of users, all new users get the same popular items")


def _why_preset(preset: str, is_rated: bool) -> str:
    if preset != "default":
        return "asked for"
    further = "; ratings are many, so --preset multitask, which learns them too, is worth a comparison"
    return "two towers find candidates, a ranker orders them; it needs ids alone" + (further if is_rated else "")
