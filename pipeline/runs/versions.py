"""Which libraries Belfry stands on, and in which versions they are installed."""

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, packages_distributions, version

BELFRY = "belfry-recommender"  # our distribution; the package index has another program called belfry
ANSWERING = ("numpy", "scipy", "pandas", "pyarrow", "pydantic", "onnxruntime", "rich", "typer")
COMPARING = ("statsmodels", "jinja2", "vl-convert-python")
TRAINING = ("tensorflow", "tf-keras", "tensorflow-recommenders", "tf2onnx")


def installed_versions(names: Sequence[str] = (BELFRY, *ANSWERING, *TRAINING, "scann")) -> dict[str, str]:
    """Library -> version, and Python's; by default of all that a run depends on. What is missing is left out."""
    found = {name: installed_version(name) for name in names}
    return {"python": platform.python_version()} | {name: text for name, text in found.items() if text}


def installed_version(distribution: str) -> str:
    """Its installed version, empty where it is not installed."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def other_distributions() -> list[str]:
    """Installed distributions besides ours that bring a package `belfry`: they overwrite our files, or we theirs."""
    return sorted({name for name in packages_distributions().get("belfry", ()) if name.replace("_", "-") != BELFRY})
