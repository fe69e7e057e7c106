"""Row 10: nothing that Belfry is made of can turn a file into code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("dataset", "layers", "retrieval", "ranking", "evaluation", "pipeline", "belfry")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]

# Modules that unpickle, or build objects out of text.
MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"})
CALLS = frozenset({"eval", "exec", "compile", "__import__"})
METHODS = frozenset(
    {"load_model", "model_from_json", "model_from_config", "from_config", "deserialize", "read_pickle", "to_pickle"}
)
# `np.load` maps files and reads pickles where it is told to: arrays of a run are read by `layers.saved.files` alone.
READERS = frozenset({("np", "load"), ("np", "memmap"), ("torch", "load"), ("keras", "models")})


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Name) and node.id in CALLS and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in METHODS or (owner, node.attr) in READERS:
                yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            is_off = isinstance(node.value, ast.Constant) and node.value.value is False
            yield from () if is_off else ("allow_pickle",)


def test_there_is_something_to_look_at() -> None:
    assert len(SOURCES) > 200


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import yaml",
        "eval('1')",
        "keras.models.load_model(path)",
        "np.load(path)",
        "np.savez(path, allow_pickle=True)",
        "pd.read_pickle(path)",
    ],
)
def test_what_is_looked_for_is_found(code: str) -> None:
    assert list(dangers(ast.parse(code)))


def test_no_source_can_turn_a_file_into_code() -> None:
    found = {str(path.relative_to(ROOT)): list(dangers(ast.parse(path.read_text()))) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}
