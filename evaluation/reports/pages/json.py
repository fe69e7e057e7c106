"""The comparison for programs: JSON, and its schema."""

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from belfry.evaluation.reports.comparison.result import Comparison

_ADAPTER = TypeAdapter(Comparison)


def to_json(comparison: Comparison) -> str:
    """The whole comparison; null is what cannot be said. The schema is `json_schema()`, kept in docs."""
    return _ADAPTER.dump_json(comparison, indent=2).decode() + "\n"


def json_schema() -> JsonSchemaValue:
    """JSON Schema of `to_json`. A removal or a change of meaning raises `format_version`; additions do not."""
    return _ADAPTER.json_schema(mode="serialization")
