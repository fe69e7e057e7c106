"""The bill of materials names what is installed, each once."""

import json
from importlib.metadata import version

from typer.testing import CliRunner

from belfry.pipeline.cli.commands import app


def test_doctor_prints_what_is_installed() -> None:
    done = CliRunner().invoke(app, ["doctor", "--sbom"])
    assert done.exit_code == 0
    bill = json.loads(done.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert bill["metadata"]["component"]["name"] == "belfry-recommender"
    names = [component["name"] for component in bill["components"]]
    assert names == sorted(set(names))
    by_name = {component["name"]: component for component in bill["components"]}
    for name in ("numpy", "pyarrow", "pydantic", "onnxruntime", "tf-keras"):
        assert by_name[name]["version"] == version(name)
        assert by_name[name]["purl"] == f"pkg:pypi/{name}@{version(name)}"
