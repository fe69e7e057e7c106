"""Comparison: all that was found out, as plain values. JSON, Markdown and HTML are made from it and nothing else.

NaN (null in JSON) is what cannot be said. Every fraction is a share of 1.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, PlainSerializer

from belfry.dataset.history.repeats import Repeats
from belfry.dataset.notebooks.html import html_table
from belfry.evaluation.context import UserCount
from belfry.evaluation.registry import Direction
from belfry.evaluation.table_lists import TableInfo

FORMAT = "belfry-comparison"
FORMAT_VERSION = 2

Outcome: TypeAlias = Literal["better", "not shown", "worse", "guardrail broken"]
State: TypeAlias = Literal["held", "unclear", "broken", "not measured"]
Figure: TypeAlias = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: None if math.isnan(value) else value, return_type=float | None),
]  # NaN in Python, null in JSON
Estimator: TypeAlias = Literal["IPS", "SNIPS", "doubly robust"]
Id: TypeAlias = str | int


@dataclass(frozen=True)
class Verification:
    """What was checked before anything was measured; a table at fault has no report."""

    n_users: int  # judged
    n_test_rows: int  # pairs of user and item that lists are judged by
    n_train_rows: int
    n_items: int  # catalogue
    tables: tuple[TableInfo, ...]
    left_out: tuple[UserCount, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """What was decided before looking."""

    primary: str
    cutoffs: tuple[int, ...]
    n: int
    alpha: float
    power: float
    n_resamples: int
    n_flips: int
    seed: int
    seen_allowed: bool
    liked_from: Figure  # rating that says "liked"; NaN without ratings
    repeats: Repeats = "exclude"  # what lists hold of the items that their user has seen, in full


@dataclass(frozen=True)
class Difference:
    """One metric of both, challenger minus baseline over the same users."""

    metric: str
    better: Direction | None
    baseline: Figure
    challenger: Figure
    difference: Figure
    low: Figure  # 95% interval; NaN for a property of all lists together
    high: Figure
    relative: Figure  # difference / baseline
    n_users: int
    p_t: Figure
    p_wilcoxon: Figure
    p_randomisation: Figure
    p_holm: Figure  # over the metrics that have tests, by the randomisation test
    p_benjamini_hochberg: Figure
    effect_size: Figure
    wins: int
    ties: int
    losses: int
    detectable: Figure


@dataclass(frozen=True)
class SeedAnalysis:
    """How much training differs from run to run, apart from how much users differ."""

    n_runs_baseline: int
    n_runs_challenger: int
    difference: Figure
    error_users: Figure  # standard error from the choice of users
    error_training: Figure  # standard error from the runs of training, of both systems
    degrees_of_freedom: Figure
    low: Figure  # 95% interval that allows for both
    high: Figure
    p: Figure


@dataclass(frozen=True)
class Guardrail:
    """A metric that must not get worse by more than a limit."""

    metric: str
    limit: Figure  # largest change allowed, signed, e.g. -0.05: may fall by 5% (or by 0.05)
    is_relative: bool
    change: Figure  # in the limit's unit
    low: Figure
    high: Figure
    state: State


@dataclass(frozen=True)
class Verdict:
    """What to think of it, by the rule in docs/compare.md."""

    outcome: Outcome
    headline: str
    size: str
    uncertainty: str
    next_step: str


@dataclass(frozen=True)
class Slice:
    """The primary metric among some of the users, or on some of the items."""

    dimension: str
    group: str
    n_users: int
    baseline: Figure
    challenger: Figure
    difference: Figure
    low: Figure
    high: Figure
    p: Figure  # randomisation test
    p_holm: Figure  # over all slices of this challenger
    p_benjamini_hochberg: Figure


@dataclass(frozen=True)
class Bin:
    """One bar of a histogram: users whose difference lies in [low, high)."""

    low: float
    high: float
    n_users: int


@dataclass(frozen=True)
class ListedItem:
    """One place in a list."""

    item_id: Id
    title: str | None
    is_hit: bool


@dataclass(frozen=True)
class Example:
    """A user for whom the primary metric changed most, with both lists."""

    user_id: Id
    baseline: Figure
    challenger: Figure
    n_history: int
    n_test: int
    baseline_list: tuple[ListedItem, ...]
    challenger_list: tuple[ListedItem, ...]


@dataclass(frozen=True)
class Moved:
    """An item that is in more, or fewer, lists than before."""

    item_id: Id
    title: str | None
    popularity: int  # users of the history who watched it
    baseline: int  # lists that hold it
    challenger: int


@dataclass(frozen=True)
class Origin:
    """A source or stage, and its share of all places in the lists."""

    name: str
    baseline: Figure
    challenger: Figure


@dataclass(frozen=True)
class Changes:
    """How the lists differ, right or wrong."""

    overlap: Figure  # mean over users of |both| / n
    rbo: Figure  # mean rank-biased overlap
    rbo_persistence: float
    n_same: int  # users whose lists are the same, place by place
    n_users: int  # with a list in both
    overlap_histogram: tuple[Bin, ...]
    promoted: tuple[Moved, ...]
    demoted: tuple[Moved, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True)
class PolicyValue:
    """What both systems would have earned for a place, by one estimator; intervals over users."""

    estimator: Estimator
    baseline: Figure
    baseline_low: Figure
    baseline_high: Figure
    challenger: Figure
    challenger_low: Figure
    challenger_high: Figure
    difference: Figure
    low: Figure
    high: Figure


@dataclass(frozen=True)
class Counterfactual:
    """What the log says that lists would have earned, or why it can say nothing."""

    refused: tuple[str, ...]  # reasons; then there are no values
    n_rows: int  # of the log
    n_users: int
    effective_baseline: Figure  # effective number of rows
    effective_challenger: Figure
    support_baseline: Figure  # share of the lists that the log could have shown
    support_challenger: Figure
    values: tuple[PolicyValue, ...]
    n_lists: int = 0  # that were shown; rows, where single items were
    clipped_baseline: Figure = 0.0  # share of the rows that count whose weight is cut
    clipped_challenger: Figure = 0.0


@dataclass(frozen=True)
class Challenger:
    """One system against the baseline."""

    name: str
    verdict: Verdict
    p_primary: Figure  # of the test that decides, Holm over the challengers
    metrics: tuple[Difference, ...]  # the primary one first
    guardrails: tuple[Guardrail, ...]
    seeds: SeedAnalysis | None
    histogram: tuple[Bin, ...]  # of the primary difference
    slices: tuple[Slice, ...]
    losers: tuple[Example, ...]
    winners: tuple[Example, ...]
    changes: Changes
    counterfactual: Counterfactual | None


@dataclass(frozen=True)
class System:
    """One system's own figures."""

    name: str
    tables: tuple[str, ...]  # labels, one for each run of training
    metrics: dict[str, Figure]
    costs: dict[str, str]  # what was recorded of time, size and index


@dataclass(frozen=True)
class Comparison:
    """A report."""

    format: str
    format_version: int
    created_at: str  # UTC, ISO 8601
    versions: dict[str, str]
    baseline: str
    settings: Settings
    verification: Verification
    systems: tuple[System, ...]  # the baseline first
    challengers: tuple[Challenger, ...]

    @property
    def primary(self) -> str:
        return self.settings.primary

    def _repr_html_(self) -> str:
        rows = []
        for one in self.challengers:
            found, verdict = one.metrics[0], one.verdict
            values = (found.baseline, found.challenger, found.difference, found.low, found.high)
            rows.append([one.name, verdict.outcome, *(f"{value:.4f}" for value in values), verdict.headline])
        head = ("system", "verdict", self.baseline, "its own", "difference", "low", "high", "in words")
        n_users = f"{self.verification.n_users:,} users"
        return html_table(head, rows, caption=f"{self.primary} against {self.baseline}, {n_users}")
