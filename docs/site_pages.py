"""Pages of the site that are written elsewhere: those at the top of the repository, and the verbs from their code."""

import re
import subprocess
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
AT_THE_TOP = {"README.md": "index.md", "CHANGELOG.md": "CHANGELOG.md", "SECURITY.md": "SECURITY.md"}
AT_THE_TOP |= {"CONTRIBUTING.md": "CONTRIBUTING.md"}
VERBS = [sys.executable, "-m", "typer", "belfry.pipeline.cli.commands", "utils", "docs", "--name", "belfry"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them to the pages that lie in docs/."""
    for source, page in AT_THE_TOP.items():
        text = (ROOT / source).read_text().replace("](docs/", "](").replace("](README.md)", "](index.md)")
        text = text.replace('src="docs/', 'src="')
        files.append(File.generated(config, page, content=text))
    verbs = subprocess.run(VERBS, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    files.append(File.generated(config, "verbs.md", content=verbs.replace("# `belfry`", "# Verbs", 1)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links from docs/ to the top of the repository lead to the pages of the site."""
    return re.sub(r"\]\((?:\.\./)+([A-Z]+\.md)", r"](\1", markdown)
