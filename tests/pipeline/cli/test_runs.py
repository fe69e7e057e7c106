"""`belfry runs ...`, as typed."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from belfry.dataset.errors import InputError
from belfry.pipeline.cli.commands import app
from belfry.pipeline.runs.registry import listed

runner = CliRunner()


@pytest.fixture
def artifacts(tiny_run, tmp_path):
    """A folder with one run, the current one."""
    folder = tmp_path / "artifacts"
    shutil.copytree(tiny_run, folder / tiny_run.name)
    (folder / "current").write_text(f"{tiny_run.name}\n")
    return folder


def answer(*words) -> str:
    result = runner.invoke(app, ["runs", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_show_and_diff(artifacts, tiny_run):
    name = tiny_run.name
    assert answer("list", "--artifacts", artifacts).startswith(f"* {name}  20")
    [listed] = json.loads(answer("list", "--artifacts", artifacts, "--json"))
    assert (listed["name"], listed["is_current"]) == (name, True)
    shown = answer("show", name, "--artifacts", artifacts)
    assert shown.startswith(f"{name}, published 20")
    assert "gate " in shown
    assert re.search(r"two_tower +weight", shown)
    assert json.loads(answer("show", "--artifacts", artifacts, "--json"))["name"] == name
    assert answer("diff", name, "--artifacts", artifacts) == ""
    assert json.loads(answer("diff", name, name, "--artifacts", artifacts, "--json")) == {}


def test_verify_tells_a_damaged_run(artifacts, tiny_run):
    assert answer("verify", "--artifacts", artifacts) == f"{tiny_run.name}: whole\n"
    path = artifacts / tiny_run.name / "serving" / "sources.json"
    path.chmod(0o644)
    path.write_text("{}")
    result = runner.invoke(app, ["runs", "verify", "--artifacts", str(artifacts)])
    assert result.exit_code == 2
    assert "sources.json" in result.output


def test_verify_passes_over_what_is_pruned_meanwhile(artifacts, tiny_run, monkeypatch):
    [there] = listed.list_runs(artifacts)
    monkeypatch.setattr(listed, "list_runs", lambda _: [replace(there, name="default-0"), there])
    assert answer("verify", "--artifacts", artifacts) == f"{tiny_run.name}: whole\n"
    with pytest.raises(InputError, match="there is no run 'default-0'"):
        answer("verify", "default-0", "--artifacts", artifacts)


def test_prune_says_what_it_does(artifacts):
    assert answer("prune", "--keep", 1, "--artifacts", artifacts) == "nothing to remove\n"
    result = runner.invoke(app, ["runs", "prune", "--keep", "1", "--older-than", "soon", "--artifacts", str(artifacts)])
    assert result.exit_code == 2
