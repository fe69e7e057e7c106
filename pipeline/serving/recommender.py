"""Recommender: lists for users out of a published run. Imports no TensorFlow."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import pyarrow as pa

from belfry.dataset import columns
from belfry.dataset.concurrency.blas import one_thread
from belfry.dataset.concurrency.cached import cached_property
from belfry.dataset.concurrency.forks import lock_beside_forks
from belfry.dataset.errors import ArtifactError, InputError, UnknownUserError
from belfry.dataset.history import KINDS_OF_REPEATS, REPEATS_OF_TABLE, Repeats, as_repeats, kept_out
from belfry.dataset.vocabulary import UNKNOWN, Id, ItemNums, UserNums, as_arrow
from belfry.pipeline.runs.reader import default_artifacts, find_run
from belfry.pipeline.serving.checks import check_lists, check_n
from belfry.pipeline.serving.explain import Reason, reasons_for
from belfry.pipeline.serving.ids import IdReader
from belfry.pipeline.serving.neighbours import Neighbourhood
from belfry.pipeline.serving.parts import Parts
from belfry.pipeline.serving.results import (
    Effect,
    Explanation,
    Recommendation,
    RecommendationTable,
    ResultList,
    SimilarItem,
    SimilarUser,
    Watched,
)
from belfry.pipeline.serving.tables import in_order, table_of_lists
from belfry.pipeline.serving.two_stage import Limits, Stage, Trace, TwoStage, context_of
from belfry.pipeline.serving.users.context import ContextReader
from belfry.pipeline.serving.users.newcomers import AskedUsers, FeatureReader, table_of
from belfry.pipeline.serving.users.session import SESSION_USER, newcomer_tables, session_tables
from belfry.pipeline.serving.workers import answer_together
from belfry.retrieval.base import Embeddings

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.book import RuleBook
    from belfry.pipeline.serving.rules.bound import BoundRules
    from belfry.pipeline.serving.rules.config import RulesLike

ROWS_PER_BLOCK = 1 << 16  # candidates that are retrieved and ranked at a time, about

_loading = lock_beside_forks()

PathLike: TypeAlias = str | os.PathLike[str]


class Recommender:
    """Answers from one run, whole in memory; safe to call from many threads, and in processes that are forked."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.run, self.two_stage = parts.run, parts.two_stage
        self.titles, self.event_weights = parts.titles, parts.event_weights
        self.features = self.two_stage.features
        self.users, self.items = self.features.history.users, self.features.history.items
        self.user_ids, self.item_ids = IdReader(self.users, self.run.name), IdReader(self.items, self.run.name)
        self.user_features = FeatureReader(parts.user_encoder, parts.policy, self.run.name)
        context = self.two_stage.context
        self.contexts = ContextReader(self.features.history.context, context.columns if context else (), self.run.name)
        self.repeats = parts.repeats
        self._kept_out = {one: kept_out(self.features.history, one) for one in KINDS_OF_REPEATS}

    @classmethod
    def load(cls, path: PathLike | None = None, *, require_signature: PathLike | None = None) -> "Recommender":
        """The run in `path`: a run folder, or an artifacts folder, whose current run it is.

        Without a path: the folder that `BELFRY_ARTIFACTS` names, else `artifacts`.

        Args:
            require_signature: a public key (PEM) whose owner must have signed the run; by default the one that
                `BELFRY_REQUIRE_SIGNATURE` names, else none.

        Raises:
            ArtifactError: there is no run, or it is damaged, foreign, of another version, or lacks the signature.

        Examples:
            >>> from belfry import Recommender
            >>> Recommender.load("artifacts").repeats
            'exclude'
        """
        key = Path(require_signature) if require_signature is not None else None
        with _loading:
            return cls(Parts.read(find_run(Path(path) if path is not None else default_artifacts(), key)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the path of its run, which whoever unpickles it loads and checks."""
        trusted = self.run.trusted
        key = str(trusted.path.absolute()) if trusted else None
        return _reopen, (type(self), str(self.run.folder.absolute()), self.run.name, key)

    def __copy__(self) -> Self:
        """Itself: nothing in it changes."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}(run {self.run.name}: {len(self.users):,} users, {len(self.items):,} items)"

    def _repr_html_(self) -> str:
        from belfry.dataset.notebooks.html import html_table

        manifest = self.run.manifest
        rows = [
            ("users", f"{len(self.users):,}"),
            ("items", f"{len(self.items):,}"),
            ("preset", manifest.preset),
            ("holdout", manifest.holdout),
            ("published", f"{manifest.created_at[:19].replace('T', ' ')} UTC"),
            ("ranker", manifest.gate.line),
        ]
        return html_table(("run", manifest.name), rows)

    def recommend(
        self,
        user: Id | None,
        n: int = 10,
        *,
        features: Mapping[str, object] | None = None,
        history: Iterable[Id] = (),
        context: Mapping[str, object] | None = None,
        exclude_seen: bool | None = None,
        repeats: Repeats | None = None,
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        strict: bool = False,
        explain: bool = False,
        rules: "RulesLike | None" = None,
        where: str | None = None,
    ) -> list[Recommendation]:
        """At most `n` items for one user, best first; fewer where no more are left, never filler.

        An unknown user, or one without a history, gets what is popular now, in the user's groups where features are
        known; `origin` is then "cold". Ids come in any container: a list, a set, a column of NumPy, Arrow, pandas.

        Args:
            user: an id; or None, with `features` or a `history`, for somebody without one.
            features: what is known of the user, by the columns of the users table that the run was trained on; for this
                call they take the place of what the run knows. docs/new-users.md says how values are read.
            history: items that the user has watched since the run was trained, oldest first. They are folded in
                without training and count as seen; a new user gets a personal list by them. Ids outside the catalogue
                are ignored.
            context: what is known of the moment, by the columns of `data.context_columns` that the run was trained
                with, such as {"device": "tv"}; `timestamp_s` says hour and weekday. See docs/context.md.
            exclude_seen: True says repeats="exclude", False "allow"; or leave it out.
            repeats: "exclude" leaves out what the user has watched, "allow" does not, "only" leaves out all else; by
                default what the run was trained for. Another kind is answered by models that were not trained for it.
                What the user has disliked is left out under all three.
            exclude: further items to leave out; ids outside the catalogue are ignored.
            only: where given, the items to choose from.
            strict: refuse an unknown user instead.
            explain: fill in `because`, which takes a scoring of the candidates for each group of features.
            rules: what shapes the list: `Rules`, a dict of them, or the path of a TOML file; see docs/rules.md.
            where: a condition on item columns, such as "year >= 1990", beside `rules`; where a model of the run expects
                ratings, also on these: "expected_rating >= 3.5".

        Raises:
            UnknownUserError: the user is unknown and `strict` is set.
            InputError: an id is none that the run could have (of another type, or missing), with and without `strict`;
                `n` is below 1, `exclude_seen` contradicts `repeats`, `features` or `context` names no column of the
                run, or a value that its column could not hold; `history`, or `features` of a user who has one, is
                given to a run whose towers know users by their id alone; or the rules do not fit the items or one
                another.

        Examples:
            >>> recommender = Recommender.load("artifacts")
            >>> [place.rank for place in recommender.recommend(42, 3, history=[50, 181])]
            [1, 2, 3]
            >>> recommender.recommend(None, 1, features={"age": 31})[0].origin
            'cold'
        """
        is_told = features is not None or not (isinstance(history, tuple) and not history)
        number = UNKNOWN if user is None and is_told else self.user_ids.number(user, "user")
        if strict and number == UNKNOWN:
            raise UnknownUserError(f"user {user!r} is not in run {self.run.name}; leave out strict for a cold answer")
        users, two_stage = np.array([number], np.int32), self.two_stage
        fresh = self.item_ids.numbers(history, "history")
        if len(fresh) or features is not None:
            users, two_stage = SESSION_USER, self._session(number, fresh, features)
        bound = self.bound(rules, where)
        limits = self._limits(two_stage, n, self.repeats_of(exclude_seen, repeats), exclude, only, bound)
        if context is not None:
            limits["context"] = self.contexts.one(context)
        with one_thread:
            trace = self._trace(two_stage, users, "final", limits, bound)
        lists = trace.lists
        because: list[Explanation | None] = [None] * len(lists)
        if explain:
            because = [self._explanation(reason) for reason in self._reasons(two_stage, trace)]
        item_ids, titles = self._ids_and_titles(lists.item_num)
        origins = [lists.origins[origin] for origin in lists.origin]
        told = {name: values.tolist() for name, values in two_stage.told_ratings(lists).items()}
        nothing: list[float | None] = [None] * len(lists)
        ratings, deviations = (told.get(name, nothing) for name in (columns.EXPECTED_RATING, columns.RATING_DEVIATION))
        chances: list[float | None] = nothing if lists.propensity is None else lists.propensity.tolist()
        shown = (lists.rank.tolist(), item_ids, titles, lists.score.tolist(), origins, because)
        return ResultList(Recommendation(*row) for row in zip(*shown, ratings, chances, deviations, strict=True))

    def recommend_many(
        self,
        users: Iterable[Id] | pa.Table | AskedUsers,
        n: int = 10,
        *,
        stage: Stage = "final",
        context: Mapping[str, object] | None = None,
        exclude_seen: bool | None = None,
        repeats: Repeats | None = None,
        exclude: Iterable[Id] = (),
        only: Iterable[Id] | None = None,
        workers: int | None = None,
        explain: bool = False,
        rules: "RulesLike | None" = None,
        where: str | None = None,
    ) -> RecommendationTable:
        """Lists of many users as one table: user_id, rank, item_id, score, origin; users in the order asked.

        The table is of Arrow, with `to_pandas()` and `to_polars()`. Where a model of the run expects ratings, there is
        a column `expected_rating` too, and `rating_deviation` where it knows how far ratings lie from that; where rules
        explore, `propensity`. A user with nothing left to recommend has no row. Users are answered in blocks, so that
        of any number of them only their lists are in memory at once.

        Args:
            users: ids, each once; or a table (Arrow, pandas, Polars) of `user_id` and columns of features, by which
                users are answered who are not in the run. Those who are in it are answered by what it knows of them.
                Columns of the context, such as device, count for all, before what `context` says.
            stage: "retrieval" gives the first stage's own order; the rest as in `recommend`.
            workers: threads that answer, by default one for each core. Equal lists however many.
            explain: adds what carried each row, strongest first, in columns of lists: watched (ids), watched_share,
                features and feature_change, as in `Explanation`. It takes several times as long as the lists.
            rules: as in `recommend`.
            where: as in `recommend`.

        Raises:
            InputError: a user is asked for twice or is no id, `n` or `workers` is below 1, `stage` is neither, or the
                rules do not fit the items or one another.

        Examples:
            >>> lists = Recommender.load("artifacts").recommend_many([42, 196], 2)
            >>> lists.column_names
            ['user_id', 'rank', 'item_id', 'score', 'origin']
            >>> lists.to_pandas()["user_id"].tolist()
            [42, 42, 196, 196]
        """
        asked = self.asked_users(users, context)
        if n_more := len(asked) - len(asked.ids.unique()):
            raise InputError(f"users: {n_more:,} are asked for more than once; pass each once")
        repeats = self.repeats_of(exclude_seen, repeats)
        bound = self.bound(rules, where)
        limits = self._limits(self.two_stage, n, repeats, exclude, only, bound)
        only_numbers, depth = limits["only"], bound.depth(limits["n"]) if bound else limits["n"]
        n_rows = max(self.two_stage.n_candidates, depth, 0 if only_numbers is None else len(only_numbers))
        size = max(1, ROWS_PER_BLOCK // n_rows)
        answers = answer_together(
            lambda block: self._table(block, stage, limits, repeats, bound, explain), asked, workers, size
        )
        return RecommendationTable(answers)

    def asked_users(
        self, users: Iterable[Id] | pa.Table | AskedUsers, context: Mapping[str, object] | None = None
    ) -> AskedUsers:
        """Users as `recommend_many` takes them, read; a part of them is asked for without reading the table again.

        Raises:
            InputError: a user is no id, or a column of the table or of `context` holds what it could not in training.
        """
        if isinstance(users, AskedUsers):
            return users if context is None else replace(users, contexts=self.contexts.of_all(context))
        table = table_of(users)
        if table is None:
            return AskedUsers(self.user_ids.array(users, "users"), contexts=self.contexts.of_all(context))
        ids = self.user_ids.array(table[columns.USER_ID], "users")
        asked = AskedUsers(ids, contexts=self.contexts.of_table(table, ids, context))
        is_new = self.users.numbers(ids) == UNKNOWN
        if not is_new.any():
            return asked
        rows = as_arrow(np.flatnonzero(is_new))
        of_moment = set(self.contexts.names) - set(self.user_features.encoder.encoders)
        told = table.drop_columns([name for name in table.column_names if name in of_moment]).take(rows)
        return replace(asked, newcomers=self.user_features.newcomers(told, ids.take(rows)))

    def _table(
        self,
        asked: AskedUsers,
        stage: Stage,
        limits: Limits,
        repeats: Repeats,
        rules: "BoundRules | None",
        explain: bool,
    ) -> pa.Table:
        """The lists of some users, as `recommend_many` gives them; of newcomers by their features."""

        def rows(two_stage: TwoStage, users: UserNums, ids: pa.Array, limits: Limits) -> pa.Table:
            trace = self._trace(two_stage, users, stage, limits, rules)
            reasons = self._reasons(two_stage, trace) if explain else None
            table = table_of_lists(trace.lists, ids, self.items, reasons)
            for name, values in two_stage.told_ratings(trace.lists).items():
                table = table.append_column(name, as_arrow(values))
            return table.replace_schema_metadata(metadata)

        metadata = {"belfry.run": self.run.name, "belfry.stage": stage, REPEATS_OF_TABLE: repeats}
        if asked.contexts is not None:
            limits = {**limits, "context": asked.contexts.of(asked.ids)}
        users = self.users.numbers(asked.ids)
        is_new = (users == UNKNOWN) & (asked.newcomers is not None)
        if asked.newcomers is None or not is_new.any():
            return rows(self.two_stage, users, asked.ids, limits)
        nobody = np.zeros(len(asked.newcomers.users) + 1, np.int32)
        two_stage = replace(self.two_stage, features=newcomer_tables(self.features, asked.newcomers), in_run=nobody)
        of_known: Limits = {**limits, "context": context_of(limits, ~is_new)}
        of_nobody: Limits = {**limits, "context": context_of(limits, is_new)}
        of_nobody["exclude"] = kept_out(two_stage.features.history, repeats)
        new, known = (asked.ids.take(as_arrow(np.flatnonzero(part))) for part in (is_new, ~is_new))
        tables = [rows(two_stage, asked.newcomers.users.numbers(new), new, of_nobody)]
        if len(known):
            tables += [rows(self.two_stage, users[~is_new], known, of_known)]
        return in_order(tables, asked.ids)

    def similar_items(self, item: Id, n: int = 10) -> list[SimilarItem]:
        """At most `n` items whose vectors are most similar to this item's, nearest first, whoever has seen them.

        Raises:
            InputError: the item is not in the catalogue, or `n` is below 1.

        Examples:
            >>> [item.rank for item in Recommender.load("artifacts").similar_items(50, 3)]
            [1, 2, 3]
        """
        number = self.item_ids.number(item, "item")
        if number == UNKNOWN:
            raise InputError(f"item {item!r} is not in the catalogue of run {self.run.name}")
        found, cosines = self._item_neighbourhood.nearest(number, check_n(n))
        rows = zip(*self._ids_and_titles(found), cosines.tolist(), strict=True)
        return ResultList(SimilarItem(rank, *row) for rank, row in enumerate(rows, 1))

    def similar_users(self, user: Id, n: int = 10) -> list[SimilarUser]:
        """At most `n` users with a history whose vectors are most similar to this user's, nearest first.

        The first call encodes all users.

        Raises:
            UnknownUserError: the user is unknown or has no history to compare.
            InputError: `n` is below 1.

        Examples:
            >>> nearest = Recommender.load("artifacts").similar_users(42, 3)
            >>> all(-1 <= user.similarity <= 1 for user in nearest)
            True
        """
        number = self.user_ids.number(user, "user")
        if number not in self._user_neighbourhood:
            raise UnknownUserError(
                f"user {user!r} has no history in run {self.run.name}, so nobody is known to be similar"
            )
        found, cosines = self._user_neighbourhood.nearest(number, check_n(n))
        rows = zip(self.users.take(found).to_pylist(), cosines.tolist(), strict=True)
        return ResultList(SimilarUser(rank, *row) for rank, row in enumerate(rows, 1))

    def bound(self, rules: "RulesLike | None", where: str | None = None) -> "BoundRules | None":
        """The rules that a call asks for, held against the items of the run; None for none.

        Raises:
            InputError: they cannot be read, do not fit the items, or contradict one another.
        """
        return None if rules is None and where is None else self._rule_book.bound(rules, where)

    @cached_property
    def _rule_book(self) -> "RuleBook":
        from belfry.pipeline.serving.rules.book import RuleBook

        def directions() -> Embeddings:
            return self._item_neighbourhood.directions(len(self.items))

        expects = self.two_stage.ratings is not None
        return RuleBook.of(self.run, self.features.history, self.titles, directions, expects_ratings=expects)

    @cached_property
    def _item_neighbourhood(self) -> Neighbourhood:
        return Neighbourhood(self.two_stage.vectors, np.arange(1, len(self.items) + 1, dtype=np.int32))

    @cached_property
    def _user_neighbourhood(self) -> Neighbourhood:
        users = np.arange(len(self.users) + 1, dtype=np.int32)
        with_history = users[self.features.history.seen_items.count(users) > 0]
        return Neighbourhood(self.two_stage.towers.encode_queries(users, self.features), with_history)

    def _session(self, number: int, fresh: ItemNums, features: Mapping[str, object] | None) -> TwoStage:
        """The same two stages over the tables of this user alone."""
        told = None if features is None else self.user_features.one(features)
        tables = session_tables(self.features, number, fresh, told, features or ())
        if len(tables.history) and not self.parts.reads_history:
            raise InputError(
                f"history: the towers of run {self.run.name} know users by their id alone and cannot read one; "
                "train a run with towers that read histories, such as two_tower"
            )
        return replace(self.two_stage, features=tables, in_run=np.array([UNKNOWN, number], np.int32))

    def repeats_of(self, exclude_seen: bool | None = None, repeats: Repeats | None = None) -> Repeats:
        """What a call asks for in either form; what the run was trained for where it says nothing."""
        return as_repeats(exclude_seen, repeats) or self.repeats

    def _limits(
        self,
        two_stage: TwoStage,
        n: int,
        repeats: Repeats,
        exclude: Iterable[Id],
        only: Iterable[Id] | None,
        rules: "BoundRules | None",
    ) -> Limits:
        is_known = two_stage.features is self.features  # else of a session
        limits = Limits(
            n=min(check_n(n), len(self.items)),
            exclude=self._kept_out[repeats] if is_known else kept_out(two_stage.features.history, repeats),
            blocked=self.item_ids.numbers(exclude, "exclude"),
            only=None if only is None else self.item_ids.numbers(only, "only"),
        )
        if rules is None:
            return limits
        from belfry.pipeline.serving.rules.apply import limits_under_rules

        return limits_under_rules(limits, rules)

    def _trace(
        self, two_stage: TwoStage, users: UserNums, stage: Stage, limits: Limits, rules: "BoundRules | None"
    ) -> Trace:
        """Lists that were checked, and how they came about."""
        if stage not in ("final", "retrieval"):
            raise InputError(f"stage={stage!r}: wanted 'final' or 'retrieval'")
        seen, blocked = limits["exclude"], limits["blocked"]
        if rules is None:
            trace = two_stage.trace(users, stage, **limits)
        else:
            from belfry.pipeline.serving.rules.apply import not_allowed, trace_under_rules

            trace = trace_under_rules(two_stage, users, stage, limits, rules)
            blocked = not_allowed(trace.lists, limits)
        check_lists(trace.lists, n=limits["n"], n_items=len(self.items), seen=seen, blocked=blocked)
        return trace

    def _reasons(self, two_stage: TwoStage, trace: Trace) -> list[Reason]:
        return reasons_for(two_stage, trace, lambda: self._item_neighbourhood)

    def _explanation(self, reason: Reason) -> Explanation:
        ids, titles = self._ids_and_titles(np.array([number for number, _ in reason.watched], np.int32))
        shares = [share for _, share in reason.watched]
        watched = tuple(Watched(*row) for row in zip(ids, titles, shares, strict=True))
        return Explanation(watched, tuple(Effect(*effect) for effect in reason.features))

    def _ids_and_titles(self, items: ItemNums) -> tuple[list[Id], list[str | None]]:
        titles = self.titles.take(as_arrow(items.astype(np.int64) - 1))
        return self.items.take(items).to_pylist(), titles.to_pylist()


def _reopen(kind: type[Recommender], folder: str, name: str, key: str | None) -> Recommender:
    recommender = kind.load(folder, require_signature=key)
    if recommender.run.name != name:
        raise ArtifactError(f"{folder}: holds run {recommender.run.name}, the pickled Recommender was of {name}")
    return recommender
