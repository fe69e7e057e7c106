"""`recommend`: answers from the run that is current, which is loaded once."""

import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from belfry.dataset.concurrency.forks import lock_beside_forks
from belfry.dataset.errors import InputError
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.vocabulary import Id
from belfry.pipeline.runs.reader import default_artifacts, named_run
from belfry.pipeline.runs.remote.store import address_of_runs
from belfry.pipeline.serving.recommender import PathLike, Recommender
from belfry.pipeline.serving.results import Recommendation

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.config import RulesLike

LOOK_AT_ADDRESS_S = 10.0  # between two looks at which run is current, where each is a request to a storage

log = logging.getLogger(__name__)
_loaded: dict[Path, Recommender] = {}  # artifacts folder -> its current run; guarded by the lock
_looked_at_s: dict[Path, float] = {}  # address -> when it was asked which run is current; likewise
_lock = lock_beside_forks()


def recommend(
    user: Id | None,
    n: int = 10,
    *,
    artifacts: PathLike | None = None,
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
    """As `Recommender.recommend`, from the run that is current in `artifacts` at the time of the call.

    The run is loaded at the first call and again when another one is published. An address is asked for that every ten
    seconds at most; where it does not answer, the run that is loaded goes on.

    Raises:
        ArtifactError: there is no run, or it is damaged.
        InputError, UnknownUserError: as there.

    Examples:
        >>> from belfry import recommend
        >>> len(recommend(42, 5, where="year >= 1990"))
        5
    """
    folder = Path(artifacts) if artifacts is not None else default_artifacts()
    return _current(folder).recommend(
        user,
        n,
        features=features,
        history=history,
        context=context,
        exclude_seen=exclude_seen,
        repeats=repeats,
        exclude=exclude,
        only=only,
        strict=strict,
        explain=explain,
        rules=rules,
        where=where,
    )


def _current(artifacts: Path) -> Recommender:
    with _lock:
        known = _loaded.get(artifacts)
        if known is None or _is_replaced(known, artifacts):
            known = _loaded[artifacts] = Recommender.load(artifacts)
        return known


def _is_replaced(known: Recommender, artifacts: Path) -> bool:
    if not address_of_runs(artifacts):
        return known.run.folder != named_run(artifacts)
    if time.monotonic() < _looked_at_s.get(artifacts, 0.0) + LOOK_AT_ADDRESS_S:
        return False
    _looked_at_s[artifacts] = time.monotonic()
    try:
        return known.run.folder != named_run(artifacts)
    except InputError as error:
        log.warning("run %s goes on answering: %s", known.run.name, error)
        return False
