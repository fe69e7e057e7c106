"""FeatureRules: the settings that say what columns of items and users are taken for, where their type does not."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Kind: TypeAlias = Literal["category", "list", "number", "text", "vector", "ignored"]


def _one_is_enough(value: object) -> object:
    """A name alone, as a tuple of it."""
    return (value,) if isinstance(value, str) else value


Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_one_is_enough)]


class FeatureRules(BaseModel):
    """Columns of items and users by name; what is not named is taken for what its type says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category_columns: Names = Field((), description="columns of items and users that hold codes: numbers as categories")
    list_columns: Annotated[tuple[str | tuple[str, str], ...], BeforeValidator(_one_is_enough)] = Field(
        (),
        description="columns of text with several categories in a cell, as JSON, as Python's list, or parted by one of "
        '`|`, `;` and `,`; another sign stands beside the name: `[["genres", "/"]]`',
    )
    numeric_columns: Names = Field((), description="columns of text that hold numbers")
    text_columns: Names = Field((), description="columns whose words are features, e.g. title")
    vector_columns: Names = Field(
        (),
        description="columns of items and users that hold vectors, such as embeddings: lists of numbers of one length, "
        "or JSON; lists of 8 and more that are no whole numbers are taken for vectors without being named",
    )
    bad_vector: Literal["error", "drop"] = Field(
        "error",
        description="vectors of another length than most, with a value that is missing or not finite, or of zeros "
        "alone; drop takes them for missing",
    )
    ignore_columns: Names = Field((), description="columns that are left out")

    @property
    def delimiters(self) -> dict[str, str | None]:
        """Of each list column; None where it is to be found."""
        return dict((named, None) if isinstance(named, str) else named for named in self.list_columns)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Of each column that is named."""
        named: dict[Kind, tuple[str, ...]] = {
            "category": self.category_columns,
            "list": tuple(self.delimiters),
            "number": self.numeric_columns,
            "text": self.text_columns,
            "vector": self.vector_columns,
            "ignored": self.ignore_columns,
        }
        return {name: kind for kind, names in named.items() for name in names}

    @model_validator(mode="after")
    def _one_kind_each(self) -> Self:
        names = [*self.category_columns, *self.delimiters, *self.numeric_columns, *self.text_columns]
        names += [*self.vector_columns, *self.ignore_columns]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"column {min(twice)[:60]!r} is named twice among the settings *_columns; name it in one")
        if any(not delimiter for delimiter in self.delimiters.values() if delimiter is not None):
            raise ValueError("the delimiter of a list column is empty; name it alone, or with the sign between values")
        return self


SETTING_OF: dict[Kind, str] = {
    "category": "data.category_columns",
    "list": "data.list_columns",
    "number": "data.numeric_columns",
    "text": "data.text_columns",
    "vector": "data.vector_columns",
    "ignored": "data.ignore_columns",
}
