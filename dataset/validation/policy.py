"""Policy: the settings `data.*`, which say how tables are read and what becomes of each kind of problem."""

from typing import Literal

from pydantic import Field, FiniteFloat, field_validator

from belfry.dataset import columns
from belfry.dataset.validation.features.rules import FeatureRules

# What databases, R, pandas and spreadsheets write where nothing is known; the case counts, for Nan and Null are names.
NULL_WORDS = (
    *("NULL", "null", r"\N", "(null)", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "None", "NaT"),
    *("NaN", "nan", "NAN", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "undefined"),
)


class Policy(FeatureRules):
    """What to do with each kind of problem: refuse the tables, drop the rows, or clip the values into their range."""

    bad_id: Literal["error", "drop"] = Field("error", description="ids that are null, empty or longer than 1000 bytes")
    null_words: tuple[str, ...] = Field(
        NULL_WORDS,
        description="words that stand for a missing value in columns of text: as an id, rating, time or weight; "
        'a word that is a number, such as `"-1"`, of ids that are numbers too; `[]` where it is an id in earnest',
    )
    id_spelling: Literal["mend", "keep", "error"] = Field(
        "mend",
        description="ids of text with blanks around them or in another Unicode form than NFC; mend cuts the blanks off "
        "and composes the letters",
    )
    repeated_id: Literal["error", "drop"] = Field("error", description="an id twice in items or users; drop keeps one")
    repeated_event: Literal["error", "drop", "keep"] = Field(
        "drop",
        description="rows with the user, item, time (and place in `data.order`) and event of an earlier row; without "
        "times and order, of any",
    )
    rating_missing: tuple[FiniteFloat, ...] = Field(
        (), description="ratings that mean not rated, such as `[0]` or `[-1]`: the rating is none, the watch stays"
    )
    rating_range: tuple[FiniteFloat, FiniteFloat] | None = Field(None, description="lowest and highest rating allowed")
    rating_out_of_range: Literal["error", "drop", "clip", "null"] = Field(
        "error", description="only where a range is stated; null takes such a rating for not rated"
    )
    liked_from: FiniteFloat | None = Field(
        None, description="lowest rating that is no dislike: an event rated below it was seen, and not liked"
    )
    infinite_rating: Literal["error", "drop"] = Field("error", description="ratings of plus or minus infinity")
    bad_time: Literal["error", "drop"] = Field("error", description="times that are null, before 1970 or after 2199")
    far_time: Literal["error", "drop", "middle", "keep"] = Field(
        "middle",
        description="times of at most 5% of the events that lie a gap of more than a year, and of more than half the "
        "span of the others, before or after all others; middle takes them for the median of the others, as a wrong "
        "clock does not say when it was",
    )
    bad_weight: Literal["error", "drop", "clip"] = Field(
        "error", description="weights that are null, infinite or negative; clip makes them 0"
    )
    order: str | None = Field(
        None,
        description="what says which of a user's events came first, where times do not: `rows` (they are in order), or "
        "the name of a column of the interactions",
    )
    bad_order: Literal["error", "drop"] = Field("error", description="nulls in the column that `data.order` names")
    unusable_column: Literal["error", "drop"] = Field(
        "error", description="features of a type without a rule; drop leaves the column out"
    )
    context_columns: tuple[str, ...] = Field(
        (),
        description="columns of the interactions that say what was known when an event happened, such as `device`; "
        "lists can then be asked for in a context. `hour` and `weekday` are made of `timestamp_s`, in UTC",
    )

    @property
    def of_ids_and_ratings(self) -> "Policy":
        """How it reads ids and ratings, for tables that are judged by: what it would refuse or drop stays as it is."""
        mends_ratings = self.rating_out_of_range in ("clip", "null")
        return Policy(
            null_words=self.null_words,
            id_spelling="mend" if self.id_spelling == "error" else self.id_spelling,
            rating_missing=self.rating_missing,
            rating_range=self.rating_range if mends_ratings else None,
            rating_out_of_range=self.rating_out_of_range if mends_ratings else "error",
        )

    @field_validator("context_columns")
    @classmethod
    def _of_events(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        taken = {*columns.OF_INTERACTIONS, columns.ORDER, ""} & {*names}
        if taken or len(set(names)) < len(names):
            raise ValueError(f"names are {names}; each column once, and none of {', '.join(columns.OF_INTERACTIONS)}")
        return names

    @field_validator("rating_range")
    @classmethod
    def _rising(cls, rating_range: tuple[float, float] | None) -> tuple[float, float] | None:
        if rating_range and rating_range[0] > rating_range[1]:
            raise ValueError(f"runs from {rating_range[0]} down to {rating_range[1]}; name the lowest rating first")
        return rating_range


DEFAULT_POLICY = Policy()
