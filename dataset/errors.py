"""What can go wrong, as a tree; how messages, and all else that is printed, show what strangers wrote; and what is said
where a library is missing.

BelfryError
├── InputError            the data, the call or the configuration is wrong: the caller can mend it (exit code 2)
│   ├── TableError        a table breaks its contract
│   ├── UnknownUserError  a user without a number was asked for under strict
│   └── ArtifactError     a run folder is missing, damaged, foreign or of another version
├── DownloadError         a public data set could not be fetched
└── DivergenceError       training produced a number that is not finite
"""

import unicodedata
from importlib import import_module
from typing import Any

LONGEST_LINE = 2_000  # signs of a line that is shown
LONGEST_CAUSE = 300  # likewise of what another library says
LONGEST_SHOWN = 60  # likewise of a value that a message quotes
_JOINERS = "\u200c\u200d"  # of letters and of emoji: they steer nothing


class BelfryError(Exception):
    """Anything Belfry refuses in words."""


class InputError(BelfryError):
    """The data, the call or the configuration is wrong; the message says what to do."""


class TableError(InputError):
    """A table breaks its contract; the message lists every problem found."""


class UnknownUserError(InputError):
    """A user without a number was asked for under `strict`."""


class ArtifactError(InputError):
    """A run folder is missing, damaged, foreign or of another version."""


class DownloadError(BelfryError):
    """A public data set could not be fetched; the message says where to put it by hand."""


class DivergenceError(BelfryError):
    """Training produced a loss or a weight that is not finite."""


def printable(text: str, longest: int = LONGEST_LINE) -> str:
    """One line that steers no terminal: control characters, line breaks and marks of direction escaped, the end cut.

    Letters, signs and emoji of any language stay.
    """
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    if text.isprintable():
        return text
    return "".join(sign if _is_harmless(sign) else sign.encode("unicode_escape").decode() for sign in text)


def shown(value: object) -> str:
    """A foreign value for a message: quoted, escaped, and the end cut."""
    return printable(repr(value), LONGEST_SHOWN)


def cause_of(error: BaseException) -> str:
    """What an error of another library says, for a message: its kind and its words."""
    text = " ".join(str(error).split())
    return printable(f"{type(error).__name__}: {text}" if text else type(error).__name__, LONGEST_CAUSE)


def needed(module: str, extra: str, place: str) -> Any:
    """A library that comes with one of Belfry's extras; `place` needs it.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise InputError(f"{place}: needs {library}, which is not installed; run: {pip_install(extra)}") from error


def pip_install(extra: str) -> str:
    """The command that brings the libraries of one of Belfry's extras."""
    return f"pip install 'belfry-recommender[{extra}]'"


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"  # wide and narrow blanks
