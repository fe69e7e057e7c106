"""The page of a search: what was found, what mattered, and every trial."""

from typing import TYPE_CHECKING

from belfry.evaluation.reports.escape import markdown_of, markdown_row

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MIN_FOR_IMPORTANCE = 10  # trials
N_SHOWN = 5


def page_of(study: "Study", verdict: str, metric: str) -> str:
    """Markdown; the best trial stands first."""
    from optuna.trial import TrialState

    done = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    pruned = study.get_trials(deepcopy=False, states=[TrialState.PRUNED])
    best = sorted(done, key=lambda trial: -(trial.value or 0.0))[:N_SHOWN]
    keys = dict.fromkeys(text.partition("=")[0] for trial in best for text in trial.user_attrs["settings"])
    said = [dict(text.split("=", 1) for text in trial.user_attrs["settings"]) for trial in best]
    lines = [
        "# Search for settings",
        "",
        f"{verdict}.",
        "",
        f"{len(study.trials)} trials: {len(done)} trained to their end, {len(pruned)} ended after the first stage, "
        "where its candidates were worse than those of half the trials before. Half of the users of a validation part "
        "compare the trials here; the other half gave the verdict.",
        "",
        "## What mattered",
        "",
        *_importances(done),
        "## The best trials",
        "",
        "Trial 0 changes nothing.",
        "",
        markdown_row(["", *(f"trial {trial.number}" for trial in best)]),
        markdown_row(["---"] * (len(best) + 1)),
        markdown_row([metric, *(f"{trial.value:.4f}" for trial in best)]),
        *(markdown_row([key, *(of.get(key, "") for of in said)]) for key in keys),
    ]
    return markdown_of([*lines, ""])


def _importances(done: list["FrozenTrial"]) -> list[str]:
    drawn = [trial for trial in done if trial.params]
    if len(drawn) < MIN_FOR_IMPORTANCE:
        return [f"Fewer than {MIN_FOR_IMPORTANCE} trials were trained to their end, which tell nothing of it.", ""]
    from optuna import create_study
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    study = create_study(direction="maximize")
    study.add_trials(drawn)
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25))
    return [
        "How much a setting tells the best quarter of the trials from all (PED-ANOVA), as a share:",
        "",
        markdown_row(["setting", "share"]),
        markdown_row(["---"] * 2),
        *(markdown_row([key, f"{share:.0%}"]) for key, share in found.items()),
        "",
    ]
