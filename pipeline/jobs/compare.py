"""`compare`: two or more systems, as runs or as external tables -> one report, offline."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

import pyarrow as pa

from belfry.dataset.errors import InputError, TableError
from belfry.dataset.history.repeats import Repeats, as_repeats
from belfry.dataset.sources.reading import Reading
from belfry.dataset.sources.tabular import Source
from belfry.evaluation.context import EvaluationContext
from belfry.evaluation.engine import evaluate
from belfry.evaluation.plan import Plan
from belfry.evaluation.reports.comparison.assemble import make_comparison
from belfry.evaluation.reports.comparison.judged import Choices, ScoredSystem
from belfry.evaluation.reports.comparison.result import Comparison
from belfry.evaluation.reports.comparison.verdict import Limit, default_limits
from belfry.evaluation.reports.pages.json import to_json
from belfry.evaluation.reports.pages.markdown import to_markdown
from belfry.evaluation.table_lists import TableLists
from belfry.pipeline.jobs.compared_data import read_compare_data
from belfry.pipeline.jobs.compared_systems import Opened, common_repeats, open_systems
from belfry.pipeline.jobs.feedback.log import policies_of, read_log
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.runs.disk import check_writable, explain_failed_writes, temporary_folder, write_together
from belfry.pipeline.runs.versions import COMPARING, installed_versions
from belfry.pipeline.serving.recommender import PathLike

if TYPE_CHECKING:
    import pandas as pd

# A run folder, an artifacts folder, or a table; several in a sequence are runs of training of one system.
System: TypeAlias = Union[str, Path, pa.Table, "pd.DataFrame", Sequence[Union[str, Path, pa.Table, "pd.DataFrame"]]]

_NOTES_ON_REPEATS: Mapping[Repeats, Sequence[str]] = {
    "exclude": (),
    "allow": ("Lists may repeat what their user has seen, and test rows of seen items count (repeats: allow).",),
    "only": ("Lists hold nothing but what their user has seen, and only such test rows count (repeats: only).",),
}
DEFAULT_CUTOFFS = (5, 10, 20, 50, 100)
DEFAULT_N = 10
PAGE, LEADERBOARD, JSON, MARKDOWN = "comparison.html", "leaderboard.html", "comparison.json", "comparison.md"


def compare(
    baseline: System,
    *challengers: System,
    train: Source,
    test: Source,
    items: Source | None = None,
    users: Source | None = None,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    out: Path | str | None = None,
    names: Sequence[str] = (),
    primary: str | None = None,
    cutoffs: Sequence[int] = (),
    guardrails: Sequence[str] = (),
    users_without_list: Literal["empty", "leave-out"] = "empty",
    repeats: Repeats | None = None,
    seen_allowed: bool | None = None,
    liked_from: float | None = None,
    log: Source | None = None,
    log_is_uniform: bool = False,
    log_clip: float | None = None,
    seed: int = 0,
    require_signature: PathLike | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Is a challenger better than the baseline, for whom, by how much, how sure is that, and what does it cost?

    Args:
        baseline: a run folder, an artifacts folder (its current run), or a table of `user_id`, `item_id` and `rank` or
            `score` (path, pandas or Arrow), whoever made it; a sequence of them are runs of training of one system.
        challengers: likewise, at least one.
        train: what was known when the lists were made; its items, with those of `items`, are the catalogue.
        test: what the users did later; `rating`, `timestamp_s`, `event` and `weight` are used where they are there.
        items: titles, and a column of lists such as genres.
        users: columns to tell groups of users apart.
        columns: what columns of the tables are called: {"user_id": "userId", "item_id": "movieId"}.
        delimiter: of the CSV files among them; found out without.
        encoding: of their text; UTF-8 without.
        out: folder for comparison.html, .md and .json; a leaderboard too where there are several challengers.
        names: what to call the systems, the baseline first.
        primary: the one metric that decides, such as ndcg@10, the default; chosen before looking.
        cutoffs: list lengths that accuracy is measured at; without, those of 5 to 100 that every table can fill.
        guardrails: such as "coverage@10=-20%"; without, the five defaults of docs/compare.md.
        users_without_list: who is in some of the tables only counts with an empty list, or is left out.
        repeats: "exclude": no list holds what its user has seen; "allow": lists may hold it, and test rows repeat it;
            "only": lists hold nothing else. One rule for all systems: by default that of the runs and tables, where
            those that say one agree, else "exclude".
        seen_allowed: True says repeats="allow", False "exclude".
        liked_from: the rating from which an item counts as liked; without, the mean rating.
        log: `user_id`, `item_id`, `reward` and `propensity`, for counterfactual estimates; with `rank`, rows are places
            of lists, and the propensity is the chance that the list held the item. docs/exploring.md has more.
        log_is_uniform: every item of the catalogue was as likely to be shown; `log` needs no propensities.
        log_clip: weights above it are cut.
        seed: of resamples, flips and groups.
        require_signature: a public key (PEM) whose owner must have signed every run among the systems.

    Raises:
        InputError: a table is at fault, or the call is; the message names every error with counts and first rows.

    Examples:
        >>> from belfry import compare
        >>> found = compare("a.parquet", "b.parquet", train="train.parquet", test="test.parquet")
        >>> [one.verdict.outcome for one in found.challengers]
        ['not shown']
    """
    if not challengers:
        raise InputError("compare: one system is not enough; name at least two")
    how = Reading.of(columns, delimiter, encoding)
    with ExitStack() as stack:
        folder = Path(out) if out is not None else None
        if folder is not None:
            check_writable(folder)
            folder.mkdir(exist_ok=True)
            stack.enter_context(explain_failed_writes(folder))
            work = stack.enter_context(temporary_folder(folder, ".comparing-"))
        else:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wanted = _Wanted.of(primary, cutoffs, guardrails)
        opened = open_systems((baseline, *challengers), names, how, require_signature)
        runs = [recommender for one in opened for recommender in one.recommenders]
        exclude_seen = None if seen_allowed is None else not seen_allowed
        rule = as_repeats(exclude_seen, repeats) or common_repeats(opened)
        data = read_compare_data(train, test, items, users, runs, how=how, repeats=rule, liked_from=liked_from)
        wanted = wanted.within(len(data.context.history.items))
        systems, plan = _score(opened, data.context, wanted, work, progress, repeats=rule)
        logged = None
        if log is not None:
            vocabularies = data.context.history.users, data.context.history.items
            found = read_log(log, *vocabularies, how=how, is_uniform=log_is_uniform, clip=log_clip)
            logged = found, policies_of(found, data.context, _first_lists(opened, work, plan.n, rule), plan.n)
        comparison = make_comparison(
            systems,
            data.context,
            Choices(
                plan,
                wanted.primary or f"ndcg@{plan.n}",
                wanted.limits or default_limits(plan.n),
                users_without_list,
                rule,
                seed,
            ),
            left_out=data.left_out,
            notes=[*data.notes, *wanted.notes(plan), *_NOTES_ON_REPEATS[rule]],
            logged=logged,
            versions=installed_versions(("numpy", "scipy", "pyarrow", *COMPARING)),
        )
        if folder is not None:
            save_comparison(comparison, folder)
    return comparison


def save_comparison(comparison: Comparison, folder: Path) -> None:
    """Write the page, the Markdown and the JSON into `folder`, and a leaderboard of several challengers."""
    from belfry.evaluation.reports.pages.page import leaderboard_page, page

    texts = {PAGE: page(comparison), JSON: to_json(comparison), MARKDOWN: to_markdown(comparison)}
    if len(comparison.challengers) > 1:
        texts[LEADERBOARD] = leaderboard_page(comparison)
    write_together(folder, texts)


@dataclass(frozen=True)
class _Wanted:
    """What the caller has decided before anything is read."""

    primary: str | None
    cutoffs: tuple[int, ...]
    limits: tuple[Limit, ...]
    note: str | None = None  # on what was changed

    @classmethod
    def of(cls, primary: str | None, cutoffs: Sequence[int], guardrails: Sequence[str]) -> "_Wanted":
        if primary is not None:
            _, _, n = primary.partition("@")
            if not n.isdigit() or int(n) < 1:
                raise InputError(f"primary metric {primary!r}: wanted METRIC@N, such as ndcg@10")
        if any(cutoff < 1 for cutoff in cutoffs):
            raise InputError(f"cutoffs {list(cutoffs)}: wanted whole numbers of at least 1")
        return cls(primary, tuple(sorted(set(cutoffs))), tuple(map(Limit.parse, guardrails)))

    def within(self, n_items: int) -> "_Wanted":
        """The same, where no list is longer than the catalogue: it can hold no more."""
        longest = max(self.n or 0, *self.cutoffs, 0)
        if longest <= n_items:
            return self
        metric, _, _ = (self.primary or "").partition("@")
        return replace(
            self,
            primary=f"{metric}@{min(self.n, n_items)}" if self.n else None,
            cutoffs=tuple(sorted({min(cutoff, n_items) for cutoff in self.cutoffs})),
            note=f"The catalogue has {n_items:,} items, so lists of {longest:,} are judged as lists of {n_items:,}.",
        )

    @property
    def n(self) -> int | None:
        return int(self.primary.partition("@")[2]) if self.primary else None

    @property
    def depth(self) -> int:
        """Of the lists that runs are asked for."""
        return max(self.n or DEFAULT_N, *(self.cutoffs or DEFAULT_CUTOFFS))

    def plan(self, longest: int) -> Plan:
        """`longest`: of the longest list of each table, the shortest."""
        n = self.n or min(DEFAULT_N, longest)
        cutoffs = self.cutoffs or tuple(cutoff for cutoff in DEFAULT_CUTOFFS if cutoff <= longest)
        return Plan.of_comparison(n, sorted({*cutoffs, n}))

    def notes(self, plan: Plan) -> list[str]:
        noted = [self.note] if self.note else []
        if self.primary or plan.n == DEFAULT_N:
            return noted
        return [
            *noted,
            f"No list holds more than {plan.n} items in one of the tables, so the primary metric is ndcg@{plan.n}.",
        ]


def _first_lists(
    opened: Sequence[Opened], work: Path, n: int, repeats: Repeats
) -> dict[str, Callable[[EvaluationContext], TableLists]]:
    """Of each system, what makes the lists of its first run of training for the users of a context."""

    def lists(one: Opened, context: EvaluationContext) -> TableLists:
        folder = Path(tempfile.mkdtemp(dir=work))
        return one.parts[0].lists(context, folder, depth=n, repeats=repeats)

    return {one.name: partial(lists, one) for one in opened}


def _score(
    opened: Sequence[Opened],
    context: EvaluationContext,
    wanted: _Wanted,
    work: Path,
    progress: Progress,
    *,
    repeats: Repeats,
) -> tuple[list[ScoredSystem], Plan]:
    """Every table checked and scored; the errors of all of them in one message."""
    n_tables = sum(len(one.parts) for one in opened)
    refused: list[str] = []
    tables: list[list[TableLists]] = []
    n_done = 0
    for one in opened:
        tables.append([])
        for part in one.parts:
            folder = work / str(n_done)
            folder.mkdir()
            try:
                tables[-1].append(part.lists(context, folder, depth=wanted.depth, repeats=repeats))
            except TableError as error:
                refused.append(str(error))
            n_done += 1
            progress("read", n_done, n_tables)
    plan = wanted.plan(min((table.info.longest_list for runs in tables for table in runs), default=DEFAULT_N))
    systems, n_done = [], 0
    for one, runs in zip(opened, tables, strict=True):
        scores = []
        for table in runs:
            try:
                scores.append(evaluate(table, context, plan))
            except TableError as error:
                refused.append(str(error))
            n_done += 1
            progress("judge", n_done, n_tables)
        systems.append(ScoredSystem(one.name, tuple(scores), tuple(table.info for table in runs), one.costs()))
    if refused:
        raise TableError("\n".join(refused))
    return systems, plan
