"""What a shell offers while a verb is typed, asked as bash asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from belfry.pipeline.config_text import preset_names

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


@pytest.fixture(scope="module")
def console_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bin") / "belfry"
    path.write_text(f"#!{sys.executable}\nfrom belfry.pipeline.cli.main import main\nmain()\n")
    path.chmod(0o755)
    return path


def in_bash(console_script: Path, script: str, **more: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(console_script.parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | more
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)


def offered(console_script: Path, *words: str, **more: str) -> list[str]:
    """By the script that `--install-completion` installs."""
    line = " ".join(f"'{word}'" for word in ("belfry", *words))
    done = in_bash(
        console_script,
        f"source <(_BELFRY_COMPLETE=source_bash belfry); COMP_WORDS=({line}); COMP_CWORD={len(words)}; "
        '_belfry_completion belfry; printf "%s\\n" "${COMPREPLY[@]}"',
        **more,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_verbs_presets_holdouts_and_data_sets(console_script: Path) -> None:
    assert offered(console_script, "ru") == ["run", "runs"]
    assert offered(console_script, "train", "--preset", "") == preset_names()
    assert offered(console_script, "train", "--holdout", "") == ["time", "last", "random"]
    assert offered(console_script, "run", "--data", "ml-1") == ["ml-100k", "ml-1m"]


def test_settings_and_behind_a_whole_key_its_names(console_script: Path) -> None:
    keys = offered(console_script, "train", "--set", "retrieval.embedding")
    assert keys == ["retrieval.embedding_size="]
    kinds = offered(console_script, "train", "--set", "ranker.kind")
    assert {"ranker.kind=deep", "ranker.kind=lightgbm"} <= set(kinds)
    assert "retrieval.kind=two_tower" in offered(console_script, "train", "--set", "retrieval.kind")


def test_names_of_runs_of_the_folder_in_use(console_script: Path, tmp_path: Path) -> None:
    for name in ("default-1", "default-2", ".aside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
    names = ["default-1", "default-2"]
    assert offered(console_script, "runs", "show", "--artifacts", str(tmp_path), "") == names
    assert offered(console_script, "runs", "diff", "default-1", "", BELFRY_ARTIFACTS=str(tmp_path)) == names
    assert offered(console_script, "runs", "show", "", BELFRY_ARTIFACTS=str(tmp_path / "nowhere")) == []


def test_the_script_for_the_shell_is_shown(console_script: Path) -> None:
    shown = in_bash(console_script, "belfry --show-completion; true")
    assert "complete -o default -F _belfry_completion belfry" in shown.stdout


def test_help_waits_for_none_of_it() -> None:
    program = (
        "import sys; from belfry.pipeline.cli.commands import app\n"
        "heavy = {'numpy', 'pydantic', 'rich', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
