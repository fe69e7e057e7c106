"""`tune`: a search for settings on what the history holds back, and a preset that is not worse than the first one."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from belfry.dataset.errors import BelfryError, InputError, needed
from belfry.dataset.folds import Holdout
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.tables import Tables
from belfry.evaluation.intervals import Interval, paired_intervals
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.config_text import preset_with
from belfry.pipeline.jobs.training_data import prepare_tables, with_repeats
from belfry.pipeline.jobs.tuning.page import page_of
from belfry.pipeline.jobs.tuning.space import settings_of
from belfry.pipeline.jobs.tuning.validation import METRIC, Validation
from belfry.pipeline.progress import Progress, silent
from belfry.pipeline.runs.disk import check_writable, write_together
from belfry.pipeline.training.retrieval_stage import Tuning

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

PRESET, PAGE, STUDY = "tuned.toml", "tuning.md", "study.sqlite"  # in the folder of the search
N_CONFIRMING = 3  # seeds of training behind the verdict
N_BEFORE_PRUNING = 8  # trials
_MADE_FOR, _SETTINGS = "made_for", "settings"  # attributes of a study and of a trial

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    preset: Path  # to train with
    is_better: bool  # whether it holds anything beside what the search began with
    settings: list[str]  # of the best trial, as `key=value`; none: the first trial was the best
    difference: Interval | None  # of NDCG@10, the best trial minus the first, on users that did not choose it
    n_trials: int
    page: Path

    def lines(self) -> list[str]:
        return [verdict(self.settings, self.difference, self.is_better), f"preset {self.preset}", f"page   {self.page}"]


def tune_tables(
    read: Callable[[], Tables],
    *,
    out: Path,
    n_trials: int,
    time_s: float | None = None,
    preset: str = "default",
    holdout: Holdout | None = None,
    settings: Iterable[str] = (),
    repeats: Repeats | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Tuned:
    """Search for settings and write a preset, a page and the study into `out`; an interrupted search goes on there.

    A part of the history is held back as `holdout` says. Half of its users compare trials; the other half compare the
    best of them with what the search began with, over several seeds. Only what is better there by an interval above 0
    is written into the preset.

    Args:
        n_trials: in all, those of earlier calls included; the first one changes nothing.
        time_s: about how long it may take; a trial that was begun is ended.

    Raises:
        InputError: a table or a setting is wrong, `out` cannot be written, or its study is of other data.
        BelfryError: no trial could be trained.
    """
    check_writable(out)
    deadline = None if time_s is None else perf_counter() + time_s
    fixed = with_repeats(settings, repeats)
    data, config, holdout = prepare_tables(read(), preset, holdout, settings, repeats)
    validation = Validation.of(data, config, holdout, seed)
    out.mkdir(exist_ok=True)
    study = _open(out / STUDY, f"{data.content_hash} {preset} {holdout} {seed} {fixed}", seed)

    def config_with(changes: list[str]) -> PipelineConfig:
        return load_config(preset, holdout=holdout, settings=[*fixed, *changes])

    keys = frozenset(text.partition("=")[0].strip() for text in fixed)

    def objective(trial: "Trial") -> float:
        from optuna import TrialPruned

        changes = settings_of(trial, config, keys) if trial.number else []
        trial.set_user_attr(_SETTINGS, changes)

        def stop_early(tuning: Tuning) -> None:
            if tuning.choice is not None:
                trial.report(tuning.choice.worth, step=0)
                if trial.number and trial.should_prune():
                    raise TrialPruned

        try:
            scores = validation.scores(config_with(changes), seed=seed, on_first_stage=stop_early)
            return float(np.nanmean(scores[validation.chooses]))
        finally:
            progress("trials", trial.number + 1, n_trials)

    _search(study, objective, n_trials, deadline)
    done = _completed(study)
    if not done:
        raise BelfryError(f"{out}: none of {len(study.trials)} trials could be trained; the log says why")
    best = max(done, key=lambda trial: trial.value or 0.0)
    changes = best.user_attrs[_SETTINGS]
    difference = None
    if changes:
        rows = ~validation.chooses
        seeds = range(seed + 1, seed + 1 + N_CONFIRMING)
        of_first, of_best = (
            np.nanmean([validation.scores(config_with(sets), seed=one)[rows] for one in seeds], axis=0)
            for sets in (list[str](), changes)
        )
        [difference] = paired_intervals(of_first[:, None], of_best[:, None], seed=seed)
    is_better = difference is not None and difference.low > 0
    kept = [*fixed, *(changes if is_better else [])]
    words = verdict(changes, difference, is_better)
    texts = {PRESET: _toml_of(preset_with(preset, kept), words), PAGE: page_of(study, words, METRIC)}
    write_together(out, texts)
    return Tuned(out / PRESET, is_better, changes, difference, len(study.trials), out / PAGE)


def verdict(settings: list[str], difference: Interval | None, is_better: bool) -> str:
    """What the search found, in a sentence."""
    if not settings:
        return "no trial was better than the settings that the search began with; they stay"
    assert difference is not None
    found = (
        f"{METRIC} {difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] on users that did not choose"
    )
    if is_better:
        return f"better: {found}: {', '.join(settings)}"
    return f"not shown to be better ({found}); the settings that the search began with stay"


def _open(path: Path, made_for: str, seed: int) -> "Study":
    for library in ("optuna", "tomli_w"):  # the latter missed now rather than at the end
        needed(library, "tune", "tune")
    import optuna
    from optuna.pruners import MedianPruner
    from optuna.samplers import TPESampler
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=f"sqlite:///{path}",
            study_name="belfry",
            load_if_exists=True,
            direction="maximize",
            sampler=TPESampler(seed=seed, n_startup_trials=N_BEFORE_PRUNING),
            pruner=MedianPruner(n_startup_trials=N_BEFORE_PRUNING),
        )
    except (SQLAlchemyError, RuntimeError, AssertionError) as error:
        raise InputError(f"{path}: is no study that can be gone on with; name another folder with --out") from error
    if study.user_attrs.setdefault(_MADE_FOR, made_for) != made_for:
        raise InputError(f"{path}: the study is of other data, settings or seed; name another folder with --out")
    study.set_user_attr(_MADE_FOR, made_for)
    return study


def _search(study: "Study", objective: Callable[["Trial"], float], n_trials: int, deadline: float | None) -> None:
    """Trials until there are `n_trials`, or until what the verdict takes would end beyond the deadline."""
    slowest_s = 0.0
    while sum(trial.state.is_finished() for trial in study.trials) < n_trials:
        left_s = None if deadline is None else deadline - perf_counter() - 2 * N_CONFIRMING * slowest_s
        if left_s is not None and left_s < slowest_s and _completed(study):
            log.warning("the time is up after %d trials", len(study.trials))
            return
        started = perf_counter()
        study.optimize(objective, n_trials=1, catch=(BelfryError,))
        slowest_s = max(slowest_s, perf_counter() - started)


def _completed(study: "Study") -> list["FrozenTrial"]:
    from optuna.trial import TrialState

    return study.get_trials(states=[TrialState.COMPLETE])


def _toml_of(tree: dict[str, object], words: str) -> str:
    import tomli_w

    return f"# By belfry tune: {words}\n\n{tomli_w.dumps(tree)}"
