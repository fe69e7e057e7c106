"""Some users' histories beside both stages' lists."""

from collections.abc import Sequence

import numpy as np

from belfry.dataset import columns
from belfry.dataset.history.seen_items import SeenItems
from belfry.dataset.vocabulary import Id, UserNums
from belfry.evaluation.reports.exploration.result import Listed, ShownUser
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.serving.recommender import Recommender

N_HISTORY = 15  # titles of a history
_LONG, _SHORT = 200, 60  # signs of a title, and among reasons


def users_with_later(recommender: Recommender, later: SeenItems | None) -> UserNums:
    """Users with a history; where later events are known, those of them who have some, if anybody has."""
    users = np.flatnonzero(np.diff(recommender.features.history.seen_items.starts)).astype(np.int32)
    if later is None or not (has_later := later.count(users) > 0).any():
        return users
    return users[has_later]


def users_to_show(recommender: Recommender, users: UserNums, n: int, *, seed: int) -> UserNums:
    """`n` of the users, at even steps from short to long histories."""
    users = np.random.default_rng(seed).permutation(users)
    order = users[np.argsort(recommender.features.history.seen_items.count(users), kind="stable")]
    n = min(n, len(order))
    return order[((np.arange(n) + 0.5) * len(order) / max(1, n)).astype(np.int64)]


def show_users(
    recommender: Recommender,
    users: UserNums,
    titles: Sequence[str | None],
    later: SeenItems | None,
    *,
    n: int,
    progress: Progress = silent,
) -> list[ShownUser]:
    """Both lists of each of `users`.

    Args:
        titles: of all items, in the order of their numbers.
        later: what users did after the history, where it is known.
        n: length of a list.
    """
    history, shown = recommender.features.history, []
    ids = recommender.users.take(users).to_pylist()
    depth = max(n, recommender.two_stage.n_candidates)
    found = recommender.recommend_many(ids, depth, stage="retrieval", workers=1)
    asked = found[columns.USER_ID].to_numpy(zero_copy_only=False)
    known = dict(zip(recommender.items.ids.to_pylist(), titles, strict=True))
    for done, (user, user_id) in enumerate(zip(users.tolist(), ids, strict=True)):
        progress("users", done, len(ids))
        hits = set() if later is None else set(recommender.items.take(later.of(user)).to_pylist())
        first = found.filter(asked == user_id).to_pylist()
        final = recommender.recommend(user_id, n, explain=True) if recommender.two_stage.ranker else []
        ranks = {row[columns.ITEM_ID]: row[columns.RANK] for row in first}

        def named(item: Id) -> str:
            return (known[item] or str(item))[:_LONG]

        newest = history.item_num[history.by_user.of(user)][::-1][:N_HISTORY]
        final_ranks = {one.item_id: one.rank for one in final}
        shown.append(
            ShownUser(
                user_id=user_id,
                n_history=int(history.seen_items.count(np.array([user]))[0]),
                n_test=None if later is None else len(later.of(user)),
                history=tuple(map(named, recommender.items.take(newest).to_pylist())),
                retrieval=tuple(
                    Listed(
                        title=named(row[columns.ITEM_ID]),
                        score=row[columns.SCORE],
                        origin=row[columns.ORIGIN],
                        is_hit=row[columns.ITEM_ID] in hits,
                        other_rank=final_ranks.get(row[columns.ITEM_ID]),
                    )
                    for row in first[:n]
                ),
                ranking=tuple(
                    Listed(
                        title=named(one.item_id),
                        score=one.score,
                        origin=one.origin,
                        is_hit=one.item_id in hits,
                        other_rank=ranks.get(one.item_id),
                        watched=tuple((named(seen.item_id)[:_SHORT], seen.share) for seen in one.because.watched),
                        features=tuple(one.because.features),
                    )
                    for one in final
                    if one.because is not None
                ),
            )
        )
    return shown
