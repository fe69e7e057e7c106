"""Any table that somebody may bring: `describe` writes its page, or refuses in words."""

import random
from pathlib import Path

import pytest
from pydantic_core import to_jsonable_python

from belfry.dataset.errors import InputError
from belfry.evaluation.reports.description.page import page
from belfry.pipeline.jobs.look.describe import describe_tables
from tests.pipeline.jobs.test_check_of_any_table import LIGHT, source_of, table_of


def try_many(seeds: range, folder: Path) -> int:
    """How many of the tables had figures."""
    n_described = 0
    for seed in seeds:
        number = random.Random(seed)
        sources = {
            role: source_of(table_of(number, role), number, folder, f"{seed}-{role}")
            for role, chance in (("interactions", 1.0), ("items", 0.5), ("users", 0.5))
            if number.random() < chance
        }
        interactions = sources.pop("interactions")
        try:
            found = describe_tables(interactions, settings=LIGHT, **sources)
        except InputError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        try:
            assert page(found)
            assert to_jsonable_python(found, inf_nan_mode="null")  # as `print_json` takes it
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        n_described += found.shape is not None
    return n_described


def test_some_tables(tmp_path: Path) -> None:
    assert try_many(range(100), tmp_path) > 5


@pytest.mark.slow
def test_three_thousand_tables(tmp_path: Path) -> None:
    assert try_many(range(3_000), tmp_path) > 200
