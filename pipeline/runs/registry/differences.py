"""What tells two runs apart, as their manifests say it."""

from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from belfry.pipeline.runs.manifest import Manifest

_OF_EACH_RUN = {"name", "created_at", "files", "format_version"}  # they differ anyway


def differences(a: Manifest, b: Manifest) -> dict[str, tuple[JsonValue, JsonValue]]:
    """Dotted key of a manifest -> its values in `a` and in `b`, where those differ; None: it has no such key."""
    of_a, of_b = _flat(a), _flat(b)
    keys = dict.fromkeys([*of_a, *of_b])
    return {key: (of_a.get(key), of_b.get(key)) for key in keys if of_a.get(key) != of_b.get(key)}


def _flat(manifest: Manifest) -> dict[str, JsonValue]:
    return dict(leaves(manifest.model_dump(mode="json", exclude=_OF_EACH_RUN)))


def leaves(tree: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    """(dotted key, value) of all that is no table itself."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
