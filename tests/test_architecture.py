"""The arrows between the folders, read from the imports; and what answering must not import, seen in real processes."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parent.parent

# A folder -> the folders of ours that it may import, besides itself.
ARROWS = {
    "dataset": set(),
    "layers": {"dataset"},
    "evaluation": {"dataset"},
    "retrieval": {"dataset", "layers"},
    "ranking": {"dataset", "layers"},
    "pipeline": {"dataset", "layers", "retrieval", "ranking", "evaluation"},
}
# Prefix of a module -> the only files that may import it. The rest says `from layers.backend import`.
KEEPERS = {
    "tensorflow": {"layers/backend.py"},
    "tf_keras": {"layers/backend.py"},
    "keras": set(),
    "tensorflow_recommenders": {"layers/backend.py"},
    "pickle": set(),
    "dill": set(),
    "cloudpickle": set(),
    "joblib": set(),
}
# What `dataset` may load before anything is asked of it. The demo's world is made with pandas, and imported on demand.
DATASET_LOADS = {"dataset", "numpy", "scipy", "pyarrow", "pydantic"} | sys.stdlib_module_names
DATASET_EXCEPTIONS = {("dataset/sources/demo_films.py", "pandas")}
HEAVY = ("numpy", "pandas", "pyarrow", "scipy", "onnxruntime", "scann", "tensorflow", "tf_keras", "matplotlib")


@dataclass(frozen=True)
class Import:
    file: str  # relative to the repository
    line: int
    module: str  # dotted
    scope: str  # "module", "function" or "types" (under TYPE_CHECKING)

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def _imports_in(body: list[ast.stmt], scope: str) -> Iterator[tuple[int, str, str, int]]:
    """(line, module, scope, level) of every import below these statements."""
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, scope, 0
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, f"{node.module or ''}.{alias.name}", scope, node.level
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _imports_in(node.body, "types")
            yield from _imports_in(node.orelse, scope)
        else:
            inner = "function" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            for part in ("body", "orelse", "finalbody"):
                yield from _imports_in(getattr(node, part, []), inner)
            for branch in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
                yield from _imports_in(branch.body, inner)


def all_imports() -> list[Import]:
    found = []
    for folder in ARROWS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            relative = path.relative_to(ROOT).as_posix()
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for line, module, scope, level in _imports_in(tree.body, "module"):
                assert level == 0, f"{relative}:{line} imports relatively; write the folder's name"
                found.append(Import(relative, line, module, scope))
    return found


IMPORTS = all_imports()


def test_the_reader_of_imports_sees_every_kind() -> None:
    source = """
import a.b
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from c import d
else:
    import e
try:
    import f
except ImportError:
    import g
class K:
    def m(self):
        with x:
            from h import i
"""
    found = {(module, scope) for _, module, scope, _ in _imports_in(ast.parse(source).body, "module")}
    expected = {"a.b": "module", "typing.TYPE_CHECKING": "module", "c.d": "types", "e": "module", "f": "module"}
    assert found == {*expected.items(), ("g", "module"), ("h.i", "function")}


def test_every_folder_is_looked_at() -> None:
    assert {entry.file.partition("/")[0] for entry in IMPORTS} == set(ARROWS)


@pytest.mark.parametrize("folder", ARROWS)
def test_imports_point_one_way(folder: str) -> None:
    wrong = [
        str(entry)
        for entry in IMPORTS
        if entry.file.startswith(f"{folder}/") and entry.top in ARROWS.keys() - ARROWS[folder] - {folder}
    ]
    assert not wrong


def test_nothing_imports_the_tests_or_benchmarks() -> None:
    assert not [str(entry) for entry in IMPORTS if entry.top in ("tests", "benchmarks")]


@pytest.mark.parametrize("module", KEEPERS)
def test_a_module_with_a_keeper_is_imported_there_alone(module: str) -> None:
    assert not [str(entry) for entry in IMPORTS if entry.top == module and entry.file not in KEEPERS[module]]


def test_the_dataset_folder_loads_little() -> None:
    """pandas is for whoever hands over a frame; a reader of one format brings its own library when it is used."""
    loaded = [entry for entry in IMPORTS if entry.file.startswith("dataset/") and entry.scope == "module"]
    foreign = [entry for entry in loaded if entry.top not in DATASET_LOADS]
    assert not [str(entry) for entry in foreign if (entry.file, entry.top) not in DATASET_EXCEPTIONS]


def run_python(program: str, *arguments: object) -> str:
    """Standard output of a fresh process."""
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["batch", "--help"], ["compare", "--help"], ["doctor"]]
)
def test_verbs_that_only_talk_load_nothing_heavy(arguments: list[str]) -> None:
    program = f"""
import sys
from typer.testing import CliRunner
from pipeline.cli import app
result = CliRunner().invoke(app, sys.argv[1:])
assert result.output, result
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_python(program, *arguments).strip() == "[]"


def test_training_is_what_loads_tensorflow() -> None:
    """Else the tests below would pass because nothing loads it at all."""
    program = "import sys; import pipeline.train; print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    assert done.stdout.strip() == "True"


def test_answering_never_loads_tensorflow(tiny_run: Path, tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from typer.testing import CliRunner
import numpy as np

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tf_keras", "keras", "tensorflow_recommenders", "tf2onnx"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Refuse())
run, table, batch_table = map(Path, sys.argv[1:])
from pipeline import Recommender, recommend
from pipeline.batch import write_batch
from pipeline.cli import app

recommender = Recommender.load(run)
user, *others = recommender.users.ids.to_pylist()[:4]
assert recommender.recommend(user, 3) == recommend(user, 3, artifacts=run)
assert len(recommender.recommend_many(others, 3)) == 9
assert len(recommender.recommend_many(others, 3, stage="retrieval")) == 9
assert write_batch(recommender, table, n=2).n_users == len(recommender.users)
shown = CliRunner().invoke(app, ["recommend", str(user), "-n", "3", "--artifacts", str(run)])
assert shown.exit_code == 0 and len(shown.output.splitlines()) == 4, shown
written = CliRunner().invoke(app, ["batch", "--artifacts", str(run), "--out", str(batch_table), "-n", "2", "--quiet"])
assert written.exit_code == 0, written
print([name for name in ("tensorflow", "tf_keras", "keras", "tf2onnx", "matplotlib") if name in sys.modules])
"""
    tables = [tmp_path / name / "recommendations.parquet" for name in ("python", "console")]
    assert run_python(program, tiny_run, *(table.parent for table in tables)).strip() == "[]"
    assert pq.read_table(tables[0]).equals(pq.read_table(tables[1]))
