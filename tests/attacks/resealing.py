"""Runs as an attacker makes them who may write to the folder: whole in themselves, with any content."""

import shutil
from pathlib import Path

from belfry.pipeline.runs.manifest import MANIFEST, read_manifest
from belfry.pipeline.runs.sealed import file_entry


def reseal(run: Path, into: Path, **changed: bytes) -> Path:
    """A copy of a run whose file at each path holds other content, under hashes and a name that fit it."""
    copy = into / "resealed"
    shutil.copytree(run, copy)
    manifest = read_manifest(copy / MANIFEST)
    files = dict(manifest.files)
    for name, content in changed.items():
        path = copy / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        files[name] = file_entry(path)
    sealed = manifest.model_copy(update={"files": files}).sealed()
    (copy / MANIFEST).unlink()
    (copy / MANIFEST).write_text(sealed.to_json())
    return copy
