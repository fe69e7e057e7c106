"""docs/rules.md: its examples are read, bound to a run, and answered under."""

import re
from pathlib import Path

import pytest

from belfry import Rules
from belfry.pipeline.serving.recommender import Recommender
from belfry.pipeline.serving.rules import config

PAGE = (Path(__file__).parents[4] / "docs" / "rules.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_file_of_rules(shaped: Recommender, tmp_path: Path) -> None:
    (content,) = blocks("toml")
    (tmp_path / "rules.toml").write_text(content, encoding="utf-8")
    found = shaped.recommend(999, 5, rules=tmp_path / "rules.toml")  # who has seen nothing
    assert found[1].item_id == 9 and found[1].origin == "pinned"


def test_the_python(shaped_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.toml").write_text(blocks("toml")[0], encoding="utf-8")
    (tmp_path / "artifacts").symlink_to(shaped_run.parent)
    exec(code.replace("42, 1377", "1, 2"), {})


@pytest.mark.parametrize("where", blocks("text")[0].splitlines())
def test_the_conditions(shaped: Recommender, where: str) -> None:
    bound = shaped.bound(None, where)
    assert bound is not None and 0 < bound.allowed().sum() < len(shaped.items)


def test_every_rule_and_default_is_in_the_table() -> None:
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    assert all(f"`{name}`" in table for name in Rules.model_fields)
    for part in (config.Diversity, config.Calibration, config.Freshness, config.Pin):
        assert all(f"`{name}`" in table for name in part.model_fields)
    assert f"`weight` ({config.Diversity().weight})" in table and f"({Rules().depth})" in table
