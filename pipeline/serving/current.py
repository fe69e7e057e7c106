"""`recommend`: answers from the run that is current, which is loaded once."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from belfry.dataset.concurrency.forks import lock_beside_forks
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.vocabulary import Id
from belfry.pipeline.runs.manifest import MANIFEST
from belfry.pipeline.runs.reader import current_run, default_artifacts
from belfry.pipeline.serving.recommender import PathLike, Recommender
from belfry.pipeline.serving.results import Recommendation

if TYPE_CHECKING:
    from belfry.pipeline.serving.rules.config import RulesLike

_loaded: dict[Path, Recommender] = {}  # artifacts folder -> its current run; guarded by the lock
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

    The run is loaded at the first call and again when another one is published.

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
    is_run = (artifacts / MANIFEST).exists()
    with _lock:
        known = _loaded.get(artifacts)
        if known is None or (not is_run and known.run.folder != current_run(artifacts)):
            known = _loaded[artifacts] = Recommender.load(artifacts)
        return known
