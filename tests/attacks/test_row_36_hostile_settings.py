"""Row 36: settings that no one means, deep, long or of signs that steer a terminal: words, soon and short."""

import time
from pathlib import Path

import pytest

from belfry.dataset.errors import InputError
from belfry.pipeline.config import load_config
from belfry.pipeline.config_text import MAX_FILE

SETTINGS = {
    "a key of 50,000 parts": "a." * 50_000 + "x=1",
    "a key of 9,000 parts": "a." * 9_000 + "x=1",
    "a key of 100 parts": "a." * 100 + "x=1",
    "a list 9,000 deep": "sources=" + "[" * 9_000 + "]" * 9_000,
    "a list 100 deep": "sources=" + "[" * 100 + "]" * 100,
    "a table of a deep key": "sources=[{model={" + "a." * 5_000 + "b=1}}]",
    "a long key": "x" * 10_000 + "=1",
    "a long value": "retrieval.kind=" + "x" * 10_000,
    "a number of 9,000 digits": "folds=" + "9" * 9_000,
    "no value": "x" * 100_000,
    "escapes": "\x1b[2J\x1b]0;x\x07=1",
    "escapes below": "folds.\x1b[2J=\x1b[2J",
}
PRESETS = {
    "a list 90,000 deep": "x=" + "[" * 90_000,
    "a list 50 deep": "x=" + "[" * 50 + "]" * 50,
    "a key of 40,000 parts": ".".join(["a"] * 40_000) + "=1",
    "a table of 40,000 parts": "[" + ".".join(["a"] * 40_000) + "]",
    "too many digits": "folds=" + "9" * 5_000,
    "too large": "#" * (MAX_FILE + 1),
    "7,000 unknown settings": "\n".join(f"folds{number}=1" for number in range(7_000)),
    "7,000 sources": "[[sources]]\n" * 7_000,
    "no text": "\xff",
    "escapes": '"\\u001b[2J" = 1',
}


def refusal(preset: str, *settings: str) -> str:
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_config(preset, holdout="random", settings=settings)
    assert time.monotonic() - started < 5
    return str(caught.value)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_row_36_a_setting(setting: str) -> None:
    text = refusal("default", setting)
    assert text.isprintable()
    assert len(text) < 700


@pytest.mark.parametrize("content", PRESETS.values(), ids=PRESETS)
def test_row_36_a_preset(content: str, tmp_path: Path) -> None:
    (path := tmp_path / "own.toml").write_text(content, encoding="latin-1")
    text = refusal(str(path))
    assert text.isprintable()
    assert len(text) < 1_200


def test_row_36_the_name_of_a_preset() -> None:
    assert len(refusal("y" * 100_000)) < 200
    assert refusal("\x1b[2J").isprintable()
