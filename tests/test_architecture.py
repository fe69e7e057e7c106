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
PACKAGE = ROOT / "belfry"

# A room -> the rooms that it may import, besides itself. A module belongs to the longest name that it starts with.
_DOMAIN = {"dataset", "layers", "retrieval", "ranking", "evaluation"}
_SERVING = _DOMAIN | {"pipeline", "pipeline.runs", "pipeline.serving"}
_JOBS = _SERVING | {"pipeline.training", "pipeline.jobs"}
ARROWS = {
    "dataset": set(),
    "layers": {"dataset"},
    "evaluation": {"dataset"},
    "retrieval": {"dataset", "layers"},
    "ranking": {"dataset", "layers"},
    "pipeline": {"dataset", "layers", "retrieval", "ranking"},  # the config of all, and how work tells its progress
    "pipeline.runs": {"dataset", "layers", "pipeline"},
    "pipeline.serving": _SERVING - {"pipeline.serving", "evaluation"},
    "pipeline.server": _SERVING - {"evaluation"},
    "pipeline.training": _SERVING,
    "pipeline.jobs": _JOBS - {"pipeline.jobs"},
    "pipeline.cli": _JOBS | {"pipeline.server"},
}
MAX_FILES = 13  # of a room: beyond it is a drawer
# Prefix of a module -> the only files that may import it; the rest imports from those.
KEEPERS = {
    "tensorflow": {"layers/backend.py"},
    "tf_keras": {"layers/backend.py"},
    "keras": set(),
    "tensorflow_recommenders": {"layers/backend.py"},
    "onnxruntime": {"layers/onnx.py"},  # which switches its telemetry off first
    "uvicorn": {"pipeline/server/process.py", "pipeline/server/guards/connections.py"},
    "pickle": set(),
    "dill": set(),
    "cloudpickle": set(),
    "joblib": set(),
}
# What `dataset` may load before anything is asked of it. The demo's world is made with pandas, and imported on demand.
DATASET_LOADS = {"belfry", "numpy", "scipy", "pyarrow", "pydantic"} | sys.stdlib_module_names
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


def files_of_ours() -> dict[str, Path]:
    """Module -> file; `belfry` holds a link for each room."""
    found = {}
    for room in sorted({name.partition(".")[0] for name in ARROWS}):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(("belfry", *parts)).removesuffix(".__init__")] = path
    return found


MODULES = files_of_ours()


def all_imports() -> list[Import]:
    found = []
    for path in MODULES.values():
        relative = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for line, module, scope, level in _imports_in(tree.body, "module"):
            assert level == 0, f"{relative}:{line} imports relatively; write the whole name"
            found.append(Import(relative, line, module, scope))
    return found


def module_of(imported: str) -> str | None:
    """The module of ours that `belfry.room.module.name` is in; None for others' modules."""
    while imported and imported not in MODULES:
        imported = imported.rpartition(".")[0]
    return imported or None


def room_of(module: str) -> str:
    name = module.removeprefix("belfry.")
    return max((room for room in ARROWS if name == room or name.startswith(f"{room}.")), key=len)


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


def test_every_room_is_looked_at_and_linked() -> None:
    assert {room_of(module) for module in MODULES} == set(ARROWS)
    links = {path.name: path.readlink().as_posix() for path in PACKAGE.iterdir() if path.is_symlink()}
    assert links == {room: f"../{room}" for room in ARROWS if "." not in room}


@pytest.mark.parametrize("room", ARROWS)
def test_imports_point_one_way(room: str) -> None:
    wrong = [
        str(entry)
        for entry in IMPORTS
        if room_of(_module_in(entry.file)) == room
        and (target := module_of(entry.module)) is not None
        and room_of(target) not in ARROWS[room] | {room}
    ]
    assert not wrong


def test_no_import_runs_in_a_circle() -> None:
    """Those of types count too: what two modules need of one another lies in a third."""
    arrows: dict[str, set[str]] = {module: set() for module in MODULES}
    for entry in IMPORTS:
        target = module_of(entry.module)
        if target is not None and target != _module_in(entry.file):
            arrows[_module_in(entry.file)].add(target)
    while leaves := {module for module, targets in arrows.items() if not targets & arrows.keys()}:
        for module in leaves:
            del arrows[module]
    assert not arrows


def test_no_code_asks_of_which_family_a_model_is() -> None:
    """What kinds differ in is data on their rows in the registries, or a method: a new kind needs no edit elsewhere."""
    families = _classes_of_families()
    assert {"TwoTowerConfig", "TowersConfig", "EASE", "FeaturedRanker", "UtilityRanker", "DeepRanker"} <= families
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno} asks for {name.id}"
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
        for name in ast.walk(node.args[1])
        if isinstance(name, ast.Name) and name.id in families
    ]
    assert not asked


def _classes_of_families() -> set[str]:
    """Names of every class of `retrieval` and `ranking`, of settings of models, and of unions of them."""
    named = set()
    for path in MODULES.values():
        room = path.relative_to(ROOT).parts[0]
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and (room in ("retrieval", "ranking") or node.name.endswith("Config")):
                named.add(node.name)
            if isinstance(node, ast.AnnAssign) and room in ("retrieval", "ranking", "pipeline"):
                named.add(ast.unparse(node.target))
    return named


def test_no_room_is_a_drawer() -> None:
    folders = {path.parent for path in MODULES.values()}
    sizes = {
        folder.relative_to(ROOT).as_posix(): sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        for folder in folders
    }
    assert not {folder: size for folder, size in sizes.items() if size > MAX_FILES}


def test_everything_of_ours_is_imported_as_belfry() -> None:
    """A file under two names would be two modules, with two sets of classes."""
    assert not [str(entry) for entry in IMPORTS if entry.top in {room.partition(".")[0] for room in ARROWS}]


def _module_in(file: str) -> str:
    return ".".join(("belfry", *Path(file).with_suffix("").parts)).removesuffix(".__init__")


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
from belfry.pipeline.cli.commands import app
result = CliRunner().invoke(app, sys.argv[1:])
assert result.output, result
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_python(program, *arguments).strip() == "[]"


def test_training_is_what_loads_tensorflow_and_nothing_loads_a_room_beside_belfry() -> None:
    """Else the tests below would pass because nothing loads TensorFlow at all."""
    rooms = [room for room in ARROWS if "." not in room]
    program = f"""
import sys
import belfry.pipeline.cli.commands, belfry.pipeline.jobs.run, belfry.retrieval.two_tower
print([name for name in {["tensorflow", *rooms]} if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    assert done.stdout.strip() == "['tensorflow']"


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
from belfry import Recommender, recommend
from belfry.pipeline.jobs.batch import write_batch
from belfry.pipeline.cli.commands import app

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
