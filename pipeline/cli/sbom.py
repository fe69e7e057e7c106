"""A bill of materials of what is installed here, in CycloneDX's JSON."""

import json
import re
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from typing import Any

from belfry.pipeline.runs.versions import BELFRY, installed_version

_MAX_LICENCE = 100  # signs; some packages put the whole text into that field


def bill_of_materials() -> str:
    """Every installed distribution by name, as https://cyclonedx.org/docs/1.5/json/ has it."""
    found = {_normal_name(one.name): one for one in distributions() if one.name and one.version}
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "application", "name": BELFRY, "version": installed_version(BELFRY) or "source"},
        },
        "components": [_component(name, found[name]) for name in sorted(found) if name != BELFRY],
    }
    return json.dumps(bill, indent=2)


def _component(name: str, distribution: Distribution) -> dict[str, Any]:
    version = distribution.version
    purl = f"pkg:pypi/{name}@{version}"
    component = {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
    metadata = distribution.metadata
    if expression := metadata.json.get("license_expression"):
        return component | {"licenses": [{"expression": expression}]}
    licence = str(metadata.json.get("license") or "").strip()
    if licence and len(licence) <= _MAX_LICENCE and "\n" not in licence:
        return component | {"licenses": [{"license": {"name": licence}}]}
    return component


def _normal_name(name: str) -> str:
    """As the package index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()
