"""How long training lasts by its settings, and what a registry's names lead to."""

import pytest

from belfry.layers.config import TrainingConfig, imported


@pytest.mark.parametrize(
    ("n_steps", "n_epochs"),
    [(1, 90), (50, 90), (51, 88), (4500, 1), (100_000, 1), (0, 90)],
)
def test_many_steps_make_fewer_epochs_and_one_at_least(n_steps: int, n_epochs: int) -> None:
    assert TrainingConfig(epochs=90, max_steps=4500).n_epochs(n_steps) == n_epochs


@pytest.mark.parametrize(("n_epochs", "every"), [(90, 10), (89, 9), (8, 1), (1, 1)])
def test_evaluations_are_spread_over_a_whole_training(n_epochs: int, every: int) -> None:
    assert TrainingConfig(evaluations=9).evaluate_every(n_epochs) == every


def test_a_name_leads_to_what_it_names() -> None:
    assert imported("belfry.layers.config:TrainingConfig") is TrainingConfig
