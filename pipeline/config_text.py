"""What a preset and `key=value` texts say, as a tree of TOML within bounds; what it means is for `config.py`."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from belfry.dataset.errors import InputError, shown
from belfry.pipeline.toml_file import read_toml

# Far above what settings need; the parser's time grows with the square of some of them.
MAX_TEXT = 20_000  # signs of a `--set`
MAX_FILE = 100_000  # bytes of a preset
MAX_DEPTH = 12  # tables and lists in one another

_PRESETS = Path(__file__).parent / "presets"

_TOO_DEEP = f"holds more than {MAX_DEPTH} tables or lists in one another, and no setting does; see docs/config.md"


def preset_names() -> list[str]:
    """Names of presets that come with Belfry."""
    return sorted(path.name.removesuffix(".toml") for path in _PRESETS.iterdir())


def preset_with(preset: str, settings: Iterable[str]) -> dict[str, Any]:
    """What a preset says, changed by `key=value` texts, as TOML has it.

    Raises:
        InputError: there is no such preset, or a text is no `key=value`.
    """
    tree = _read_preset(preset)
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or len(text) > MAX_TEXT:
            too_long = f" of at most {MAX_TEXT:,} signs" if equals else ""
            raise InputError(f"--set {shown(text)}: wanted key=value{too_long}, e.g. retrieval.embedding_size=64")
        _set(tree, key.strip(), _parse(value.strip()))
    return tree


def with_nothing(tree: Any, depth: int = 0) -> Any:
    """The tree with None for every "none": TOML has no word for no value."""
    if depth > MAX_DEPTH:
        raise InputError(f"config: {_TOO_DEEP}")
    if isinstance(tree, dict):
        return {key: with_nothing(value, depth + 1) for key, value in tree.items()}
    if isinstance(tree, list):
        return [with_nothing(value, depth + 1) for value in tree]
    return None if tree == "none" else tree


def _read_preset(preset: str) -> dict[str, Any]:
    if preset in preset_names():
        return tomllib.loads((_PRESETS / f"{preset}.toml").read_text())
    path = Path(preset)
    if path.suffix != ".toml" or not path.is_file():
        raise InputError(f"preset {shown(preset)}: known are {', '.join(preset_names())}, or the path of a .toml file")
    return read_toml(path, most_bytes=MAX_FILE)


def _set(tree: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    if len(parents) > MAX_DEPTH:
        raise InputError(f"--set {shown(key)}: {_TOO_DEEP}")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, Mapping):
            raise InputError(f"--set {shown(key)}: {shown(parent)} is a value and has no keys below it")
        tree[parent] = dict(child)
        tree = tree[parent]
    tree[last] = value


def _parse(text: str) -> object:
    """A TOML value; text that is none is taken as a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # of TOML, or of numbers with thousands of digits
        return text
    except RecursionError as error:
        raise InputError(f"--set {shown(text)}: {_TOO_DEEP}") from error
