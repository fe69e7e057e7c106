"""Recommender: lists for users out of a published run. Imports no TensorFlow."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import pyarrow as pa

from belfry.dataset.concurrency.forks import lock_beside_forks
from belfry.dataset.errors import ArtifactError, InputError, UnknownUserError
from belfry.dataset.history.repeats import Repeats, as_repeats
from belfry.dataset.vocabulary import UNKNOWN, Id, ItemNums
from belfry.pipeline.runs.reader import default_artifacts, find_run
from belfry.pipeline.serving.answers import Answers
from belfry.pipeline.serving.checks import check_n
from belfry.pipeline.serving.ids import IdReader
from belfry.pipeline.serving.load import Parts, load_parts
from belfry.pipeline.serving.neighbours import Neighbourhoods
from belfry.pipeline.serving.results import Recommendation, RecommendationTable, ResultList, SimilarItem, SimilarUser
from belfry.pipeline.serving.two_stage import Stage, TwoStage
from belfry.pipeline.serving.users.asked import AskedUsers, UserReader
from belfry.pipeline.serving.users.context import ContextReader
from belfry.pipeline.serving.users.newcomers import FeatureReader
from belfry.pipeline.serving.users.session import SESSION_USER, stages_for_session

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.bound import BoundRules
    from belfry.pipeline.serving.rules.config import RulesLike

_loading = lock_beside_forks()

PathLike: TypeAlias = str | os.PathLike[str]


class Recommender:
    """Answers from one run, whole in memory; safe to call from many threads, and in processes that are forked."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.run, self.two_stage = parts, parts.run, parts.two_stage
        self.titles, self.event_weights, self.repeats = parts.titles, parts.event_weights, parts.repeats
        self.features = parts.two_stage.features
        history, run = self.features.history, self.run.name
        self.users, self.items = history.users, history.items
        self.user_ids, self.item_ids = (IdReader(ids, run, parts.policy) for ids in (self.users, self.items))
        context = self.two_stage.context
        self._users = UserReader(
            self.user_ids,
            FeatureReader(parts.user_encoder, parts.policy, run),
            ContextReader(history.context, context.columns if context else (), run),
        )
        self._neighbourhoods = Neighbourhoods(self.two_stage)
        self._answers = Answers(parts, self.item_ids, self._neighbourhoods)

    @classmethod
    def load(cls, path: PathLike | None = None, *, require_signature: PathLike | None = None) -> "Recommender":
        """The run in `path`: a run folder, or an artifacts folder, whose current run it is; or the address of either.

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
        run = find_run(Path(path) if path is not None else default_artifacts(), key)
        with _loading:
            return cls(load_parts(run))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the path or the address of its run, which whoever unpickles it loads and checks."""
        trusted = self.run.trusted
        key = str(trusted.path.absolute()) if trusted else None
        return _reopen, (type(self), self.run.address or str(self.run.folder.absolute()), self.run.name, key)

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
        request = self._answers.request(
            n,
            self.repeats_of(exclude_seen, repeats),
            self.bound(rules, where),
            exclude=exclude,
            only=only,
            context=None if context is None else self._users.contexts.one(context),
            explain=explain,
        )
        return self._answers.of_one(two_stage, users, request)

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
        repeats, bound = self.repeats_of(exclude_seen, repeats), self.bound(rules, where)
        request = self._answers.request(n, repeats, bound, stage=stage, exclude=exclude, only=only, explain=explain)
        return RecommendationTable(self._answers.of_many(asked, request, workers))

    def asked_users(
        self, users: Iterable[Id] | pa.Table | AskedUsers, context: Mapping[str, object] | None = None
    ) -> AskedUsers:
        """Users as `recommend_many` takes them, read; a part of them is asked for without reading the table again.

        Raises:
            InputError: a user is no id, or a column of the table or of `context` holds what it could not in training.
        """
        return self._users.asked(users, context)

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
        found, cosines = self._neighbourhoods.of_items.nearest(number, check_n(n))
        rows = zip(*self._answers.ids_and_titles(found), cosines.tolist(), strict=True)
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
        neighbourhood = self._neighbourhoods.of_users
        if number not in neighbourhood:
            raise UnknownUserError(
                f"user {user!r} has no history in run {self.run.name}, so nobody is known to be similar"
            )
        found, cosines = neighbourhood.nearest(number, check_n(n))
        rows = zip(self.users.take(found).to_pylist(), cosines.tolist(), strict=True)
        return ResultList(SimilarUser(rank, *row) for rank, row in enumerate(rows, 1))

    def bound(self, rules: "RulesLike | None", where: str | None = None) -> "BoundRules | None":
        """The rules that a call asks for, held against the items of the run; None for none.

        Raises:
            InputError: they cannot be read, do not fit the items, or contradict one another.
        """
        return self._answers.bound(rules, where)

    def repeats_of(self, exclude_seen: bool | None = None, repeats: Repeats | None = None) -> Repeats:
        """What a call asks for in either form; what the run was trained for where it says nothing."""
        return as_repeats(exclude_seen, repeats) or self.repeats

    def _session(self, number: int, fresh: ItemNums, features: Mapping[str, object] | None) -> TwoStage:
        """The same two stages over the tables of this user alone."""
        told = None if features is None else self._users.features.one(features)
        stages = stages_for_session(self.two_stage, number, fresh, told, features or ())
        if len(stages.features.history) and not self.parts.reads_history:
            raise InputError(
                f"history: the towers of run {self.run.name} know users by their id alone and cannot read one; "
                "train a run with towers that read histories, such as two_tower"
            )
        return stages


_reopened: "WeakValueDictionary[tuple[object, ...], Recommender]" = WeakValueDictionary()  # in this process, and held


def _reopen(kind: type[Recommender], folder: str, name: str, key: str | None) -> Recommender:
    about = (kind, folder, name, key)
    recommender = _reopened.get(about)
    if recommender is None:
        recommender = kind.load(folder, require_signature=key)
        if recommender.run.name != name:
            raise ArtifactError(f"{folder}: holds run {recommender.run.name}, the pickled Recommender was of {name}")
        _reopened[about] = recommender
    return recommender
