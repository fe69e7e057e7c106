"""Manifest: what a run folder says of itself. Its text is sealed: the run's name is a hash of it."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

from pydantic import JsonValue, ValidationError, field_validator

from belfry.dataset.errors import ArtifactError
from belfry.pipeline.runs.gate import Gate, ManifestPart

FORMAT_VERSION = 10
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"  # of the manifest, where there is one
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of what names a folder
MAX_PRESET = 100  # signs in the name of a preset
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,9}")
_MAX_BYTES = 64 << 20  # of a manifest


REMEDY = "publish again, or copy the run afresh"  # for a run that is not as it was published


class RunInfo(ManifestPart):
    """What is known of a run before it is trained."""

    preset: str
    seed: int
    holdout: str
    config: dict[str, JsonValue]
    versions: dict[str, str]  # library -> version
    input_hash: str


class FileEntry(ManifestPart):
    """One file as it was published."""

    sha256: str
    size: int  # bytes


class Manifest(RunInfo):
    """What a run folder holds and where it came from."""

    format_version: int
    name: str
    created_at: str  # UTC, ISO 8601
    gate: Gate
    notes: dict[str, JsonValue]  # what else was measured and decided on the way
    files: dict[str, FileEntry]  # POSIX path inside the folder -> entry

    @field_validator("preset")
    @classmethod
    def _can_name_a_folder(cls, preset: str) -> str:
        if not is_preset_name(preset):
            raise ValueError(f"{preset[:MAX_PRESET]!r} cannot name a run")
        return preset

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            if not _PLAIN_PATH.fullmatch(name) or name in (MANIFEST, SIGNATURE):
                raise ValueError(f"file name {name[:100]!r} is not a plain path inside the run folder")
        return files

    def sealed(self) -> "Manifest":
        """The same manifest with its name: the preset and a hash of all that the manifest says."""
        name = _name(self.preset, self.model_copy(update={"name": ""}).to_json())
        return self.model_copy(update={"name": name})

    def to_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"


def is_preset_name(preset: str) -> bool:
    """Whether a run of this preset can have a folder: its name starts with the preset's."""
    return len(preset) <= MAX_PRESET and SAFE_NAME.fullmatch(preset) is not None


def read_manifest(path: Path, check: Callable[[bytes], None] = lambda content: None) -> Manifest:
    """The manifest in the file `path`.

    Args:
        check: is shown the very bytes that are read, before anything is made of them, and raises where it refuses them.

    Raises:
        ArtifactError: it is no manifest, of another format, or was changed after it was sealed.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError("too large")
        read = path.read_bytes()
        check(read)
        text = read.decode("utf-8")
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: not readable as JSON; {REMEDY}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: the run has format version {str(version)[:20]}, this Belfry reads {FORMAT_VERSION}; "
            "train again, or use the Belfry that wrote it"
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise invalid_file(path, error) from error
    name = _name(manifest.preset, text.replace(f'"name": {json.dumps(manifest.name)}', '"name": ""', 1))
    if name != manifest.name:
        raise ArtifactError(
            f"{path}: was changed after publishing: its content gives the name {name!r}, it says {manifest.name!r}; "
            f"{REMEDY}"
        )
    return manifest


def invalid_file(path: object, error: ValidationError) -> ArtifactError:
    """The first error in a file of a run."""
    first = error.errors()[0]
    return ArtifactError(f"{path}: {'.'.join(map(str, first['loc']))[:200]}: {first['msg'][:300]}; {REMEDY}")


def listed(names: list[str]) -> str:
    """How many files, and the first of them."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} file(s) ({', '.join(repr(name[:100]) for name in names[:3])}{more})"


def _name(preset: str, unnamed: str) -> str:
    """The name of a run whose manifest, with an empty name, has the text `unnamed`."""
    return f"{preset}-{hashlib.sha256(unnamed.encode()).hexdigest()[:12]}"
