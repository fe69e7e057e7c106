"""What is compared: scored systems, what was chosen before looking, and which users count in every figure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from belfry.dataset.arrays import Mask
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import Repeats
from belfry.evaluation.context import UserCount
from belfry.evaluation.engine import SystemScores
from belfry.evaluation.plan import Plan
from belfry.evaluation.reports.comparison.verdict import Limit
from belfry.evaluation.table_lists import TableInfo

_SMALLEST_USEFUL = 0.01  # share of users with a list in one system only from which the report points at it
_FEW_USERS = 100


@dataclass(frozen=True)
class ScoredSystem:
    """One system, by each of its runs of training."""

    name: str
    runs: tuple[SystemScores, ...] = field(repr=False)
    tables: tuple[TableInfo, ...]
    costs: dict[str, str] = field(default_factory=dict)

    @property
    def merged(self) -> SystemScores:
        """The runs as one: per user the mean over runs; lists, hits and origins are those of the first."""
        first = self.runs[0]
        return replace(
            first,
            per_user={name: np.mean([run.per_user[name] for run in self.runs], axis=0) for name in first.per_user},
            of_all={name: float(np.mean([run.of_all[name] for run in self.runs])) for name in first.of_all},
            exposure=np.sum([run.exposure for run in self.runs], axis=0),
        )


@dataclass(frozen=True)
class Choices:
    """What the caller decides before looking."""

    plan: Plan
    primary: str
    limits: tuple[Limit, ...]
    users_without_list: str = "empty"  # or "leave-out"
    repeats: Repeats = "exclude"
    seed: int = 0


def judged_users(systems: Sequence[ScoredSystem], choices: Choices) -> tuple[Mask, list[UserCount]]:
    """[n_test_users] who counts, and who does not."""
    of_system = [np.all([run.has_list for run in system.runs], axis=0) for system in systems]
    of_any = [np.any([run.has_list for run in system.runs], axis=0) for system in systems]
    in_some, in_all = np.any(of_any, axis=0), np.all(of_system, axis=0)
    gone = [UserCount("in the test part, but in none of the tables", int((~in_some).sum()))]
    if not in_all.any():
        lists = "; ".join(f"{s.name}: {int(has.sum()):,} users" for s, has in zip(systems, of_any, strict=True))
        raise InputError(
            f"there are no common users: nobody with a test item has a list in every table ({lists}); compare tables "
            "made for the same users"
        )
    leave_out = choices.users_without_list == "leave-out"
    in_part = "in part: have no list in one of the tables, and count there with an empty one"
    reason = "without a list in one of the tables" if leave_out else in_part
    gone.append(UserCount(reason, int((in_some & ~in_all).sum())))
    return in_all if leave_out else in_some, [count for count in gone if count.n]


def notes_on(systems: Sequence[ScoredSystem], choices: Choices, judged: Mask) -> list[str]:
    """What a reader of the figures should mind."""
    notes = []
    shares = {table.label: table.n_judged_without_list / len(judged) for s in systems for table in s.tables}
    if max(shares.values()) - min(shares.values()) > _SMALLEST_USEFUL and choices.users_without_list == "empty":
        least = max(shares, key=lambda label: shares[label])
        notes.append(
            f"{least} has no list for {shares[least]:.1%} of the test users, and the other tables have more; part of "
            "the difference may be that. Judge common users alone to see the rest (users without list: leave-out)."
        )
    depths = {table.label: table.longest_list for s in systems for table in s.tables}
    if min(depths.values()) < choices.plan.depth:
        short = min(depths, key=lambda label: depths[label])
        notes.append(
            f"Lists of {short} hold at most {depths[short]} items; at {choices.plan.depth} their missing places count "
            "as misses."
        )
    if len(judged) and judged.sum() < _FEW_USERS:
        notes.append(f"Few users are judged ({int(judged.sum())}): expect wide intervals.")
    return notes
