"""A run is asked before it is published: one that cannot answer does not become current."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from belfry.dataset.errors import BelfryError, cause_of
from belfry.dataset.vocabulary import Id, Vocabulary
from belfry.pipeline.serving.recommender import Recommender

_N = 10


def check_answers(folder: Path) -> None:
    """Open the run in `folder` and ask for a known user, an unknown one, and one with a history of their own.

    Raises:
        BelfryError: it cannot be opened, or an answer fails.
    """
    asking = "to open it"
    try:
        recommender = Recommender.load(folder)
        for question, ask in _questions(recommender):
            asking = question
            ask()
    except Exception as error:
        raise BelfryError(
            f"the trained run cannot answer ({asking}: {cause_of(error)}), so it is not published and the last run "
            "stays current; this is a defect of Belfry: please report it"
        ) from error


def _questions(recommender: Recommender) -> list[tuple[str, Callable[[], object]]]:
    history, users = recommender.features.history, recommender.users
    n_events = np.diff(history.by_user.starts)[1:]
    known, without = (users.ids[int(place)].as_py() for place in (n_events.argmax(), n_events.argmin()))
    stranger, items = _id_of_nobody(users), recommender.items.take(np.unique(history.item_num)[:2]).to_pylist()
    questions: list[tuple[str, Callable[[], object]]] = [
        ("a known user", lambda: recommender.recommend(known, _N, explain=True)),
        ("the user with least events", lambda: recommender.recommend(without, _N)),
        ("an unknown user", lambda: recommender.recommend(stranger, _N, explain=True)),
        ("several users", lambda: recommender.recommend_many(pa.array([known, stranger]), _N, workers=1)),
    ]
    if recommender.parts.reads_history:
        questions.append(("a fresh history", lambda: recommender.recommend(stranger, _N, history=items)))
    return questions


def _id_of_nobody(users: Vocabulary) -> Id:
    """An id of the same type that no user has."""
    if pa.types.is_integer(users.ids.type):
        return next(number for number in range(len(users) + 1) if users.number(number) == 0)
    return next(text for text in map(str, range(len(users) + 1)) if users.number(text) == 0)
