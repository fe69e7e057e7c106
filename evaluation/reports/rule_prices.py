"""Rule prices: what each rule that shapes lists costs, and what it brings, user by user against lists without."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from belfry.evaluation.engine import SystemScores
from belfry.evaluation.intervals import Interval
from belfry.evaluation.registry import label_of
from belfry.evaluation.reports.escape import markdown_table

SHOWN = ("ndcg", "recall", "intra_list_diversity", "miscalibration", "novelty", "coverage")


@dataclass(frozen=True)
class RulePrice:
    """Lists under one rule beside those without any."""

    rule: str
    metrics: dict[str, Interval]  # "ndcg@10" -> mean over users under the rule
    changes: dict[str, Interval]  # mean of (with - without), user by user


def rule_prices(without: SystemScores, under: Mapping[str, SystemScores], *, seed: int) -> tuple[RulePrice, ...]:
    """One for each rule of `under`, rule -> the scores of lists under it."""
    return tuple(
        RulePrice(rule, scores.intervals(seed=seed), scores.differences(without, seed=seed))
        for rule, scores in under.items()
    )


def price_rows(prices: tuple[RulePrice, ...]) -> Iterator[list[str]]:
    """A head, then for each rule the metrics under it, with the change and its interval where there is one."""
    measured = dict.fromkeys(name for price in prices for name in price.metrics)
    names = [name for shown in SHOWN for name in measured if name.partition("@")[0] == shown]
    yield ["rule", *map(label_of, names)]
    for price in prices:
        yield [price.rule, *(_cell(price, name) for name in names)]


def price_section(prices: tuple[RulePrice, ...]) -> list[str]:
    """As Markdown."""
    head, *rows = price_rows(prices)
    return [
        "## What each rule costs",
        "",
        *markdown_table(head, rows),
        "",
        "Lists of both stages under each rule alone, and under all of them. Behind each mean: the change against lists "
        "without rules, user by user, with its interval.",
        "",
    ]


def _cell(price: RulePrice, name: str) -> str:
    found, change = price.metrics.get(name), price.changes.get(name)
    if found is None or np.isnan(found.mean):
        return "-"
    if change is None or np.isnan(change.low):
        return f"{found.mean:.4f}"
    return f"{found.mean:.4f} ({change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}])"
