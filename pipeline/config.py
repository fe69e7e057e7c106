"""PipelineConfig: the settings of all components put together, checked as a preset and a holdout have them."""

from collections.abc import Iterable
from typing import Any, Self

from pydantic import AliasChoices, BaseModel, Field, ValidationError, model_validator

from belfry.dataset.errors import LONGEST_CAUSE, LONGEST_SHOWN, InputError, printable
from belfry.dataset.event_weights import DEFAULT_EVENT_WEIGHTS, EventWeights
from belfry.dataset.features import FeatureColumns
from belfry.dataset.folds import Holdout
from belfry.dataset.history.repeats import Repeats
from belfry.dataset.validation.cleaning import nearest
from belfry.dataset.validation.policy import DEFAULT_POLICY, Policy
from belfry.layers.config import Settings
from belfry.pipeline.config_text import preset_with, with_nothing
from belfry.pipeline.kinds import (
    RANKER_KINDS,
    SOURCE_KINDS,
    RankerConfig,
    SourceModelConfig,
    TowerConfig,
    source_kind,
)
from belfry.ranking.features.config import PairFeaturesConfig
from belfry.ranking.listwise.config import DeepRankerConfig
from belfry.retrieval.config import SequenceConfig, TwoTowerConfig
from belfry.retrieval.index.config import IndexConfig
from belfry.retrieval.models.als import ALSConfig
from belfry.retrieval.models.ease import EASEConfig
from belfry.retrieval.models.history import HistoryConfig
from belfry.retrieval.models.item_knn import ItemKNNConfig
from belfry.retrieval.models.sequential_rules import SequentialRulesConfig
from belfry.retrieval.popularity import PopularityConfig

MAX_CANDIDATES = 1_000_000  # of a list; a mistyped number shall not end in an overflow

EVENT_WEIGHTS = AliasChoices("event_weights", "relations")  # names of that setting

MAX_PROBLEMS = 8  # that a message tells of

# What a holdout means for the components; a preset says nothing of it, `--set` may overrule it.
_TARGETS = {"random": "any", "last": "next", "time": "next"}  # of retrieval models that have such a setting
_REQUEST_TIMES = {"random": "user_last", "last": "user_last", "time": "history_end"}


class SourceConfig(Settings):
    """A further source of candidates, beside the first."""

    model: SourceModelConfig = Field(
        discriminator="kind", description="any kind of retrieval, with its settings: see below"
    )
    quota: int = Field(100, ge=1, le=MAX_CANDIDATES, description="items that it may propose to a list")
    weight: float | None = Field(
        None,
        ge=0,
        description="of its scores in the order of the candidates, beside a 1 of the first source; none: learned, and "
        "that of the first source too where no source has a weight",
    )
    optional: bool = Field(
        False,
        description="left out, with a line in the log, where the data do not allow it or the lists of validation users "
        "do not gain by it; else it is refused, or stays",
    )
    after: str | None = Field(
        None, description="for dear ones: tried where the source of this name stays, so it must be optional"
    )

    @model_validator(mode="after")
    def _dear_ones_are_optional(self) -> Self:
        if self.after and not self.optional:
            raise ValueError("after is for sources that may be left out: set optional to true")
        return self


# Those that the data do not allow, or do not gain by, are left out.
DEFAULT_SOURCES = (
    SourceConfig(model=PopularityConfig(half_life_days=14, segment_smoothing=20), quota=50, optional=True),
    SourceConfig(model=SequentialRulesConfig(), optional=True),
    SourceConfig(model=EASEConfig(max_items=5_000), optional=True),
    SourceConfig(model=ItemKNNConfig(similarity="bm25"), optional=True),
    SourceConfig(model=ALSConfig(epochs=7), optional=True, after="ease"),
    SourceConfig(
        model=SequenceConfig(n_blocks=1, epochs=6, learning_rate=0.005, max_steps=3_000),
        optional=True,
        after="sequential_rules",
    ),
)


class PipelineConfig(Settings):
    """Both stages and what lies between them."""

    data: Policy = Field(DEFAULT_POLICY, description="what to do with each kind of problem in the tables")
    repeats: Repeats = Field(
        "exclude",
        description="what lists hold: no seen item (exclude), seen ones too (allow), or nothing else (only); under the "
        "last two the user's own items are a further source, unless `sources` name one of kind history",
    )
    usage_columns: tuple[str, ...] = Field(
        (), description="columns of items and users that are made by use, e.g. n_visits; all others are known before"
    )
    event_weights: EventWeights = Field(
        DEFAULT_EVENT_WEIGHTS,
        validation_alias=EVENT_WEIGHTS,
        description="names in the column `event`, best first, and how much each counts as a watch; 0: only shown; "
        "below 0: disliked",
    )
    retrieval: TowerConfig = Field(TwoTowerConfig(), discriminator="kind")
    sources: tuple[SourceConfig, ...] = Field(
        DEFAULT_SOURCES,
        description="further sources of candidates, beside the first, which is `retrieval`",
    )
    index: IndexConfig = IndexConfig()
    popularity: PopularityConfig = Field(
        PopularityConfig(half_life_days=14, activity_damping=0.5, segment_smoothing=2),
        description="the answer for cold users",
    )
    cold_weight: float | None = Field(
        None,
        ge=0,
        description="of what the two towers make of a cold user's features, beside the log of popularity in the group; "
        "only where users have categories or vectors; none: 0.5 where they have vectors, else 0.1",
    )
    n_candidates: int = Field(
        200,
        ge=1,
        le=MAX_CANDIDATES,
        description="candidates for a user, of all sources; as many may the first source propose",
    )
    new_items: float = Field(
        2.0,
        ge=0,
        le=100,
        description="places of items without a watch but with features, as a multiple of those that they deserve by "
        "folds in which items are made new; 0: none",
    )
    folds: int = Field(
        5,
        ge=2,
        le=50,
        description="cross-fitted parts of a random holdout, windows of a time holdout; "
        "no more of them are trained on than the ranker needs",
    )
    pair_features: PairFeaturesConfig = PairFeaturesConfig()
    max_lists: int = Field(10_000, ge=1, description="candidate lists that the ranker learns from, over all folds")
    ranker: RankerConfig | None = Field(DeepRankerConfig(), discriminator="kind")

    @property
    def places_new_items(self) -> bool:
        """Whether lists have places for items without a watch, and a source that knows them by their features."""
        models = [source.model for source in self.named_sources.values()]
        return self.repeats != "only" and any(source_kind(model).places_new_items for model in models)

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Columns of the interactions that tasks learn from, the rating apart."""
        models = [source.model for source in self.named_sources.values()]
        return tuple(dict.fromkeys(name for model in models for name in model.label_columns))

    @property
    def reads_history(self) -> bool:
        """Whether all lists follow the user's history as it is when asked; else some source knows users by their id."""
        return all(source_kind(source.model).reads_history for source in self.named_sources.values())

    @property
    def needs_folds(self) -> bool:
        """Whether anything is learned on parts of the history: a ranker, or how much each source counts."""
        return self.ranker is not None or any(source.weight is None for source in self.sources)

    def tower_weight_for_cold_users(self, users: FeatureColumns) -> float:
        """`cold_weight`, or 0 where the first source makes nothing of a user's features alone."""
        if not source_kind(self.retrieval).reads_user_features:
            return 0.0
        if self.cold_weight is None:  # no popularity by group says what vectors do
            return 0.5 if users.content.vectors else 0.1
        return self.cold_weight

    @model_validator(mode="after")
    def _dear_ones_come_after_another(self) -> Self:
        named = self.named_sources
        for name, source in named.items():
            if source.after and (source.after not in named or source.after == name):
                others = ", ".join(other for other in named if other != name)
                raise ValueError(f"source {name!r} comes after {source.after!r}, which is no other source: {others}")
        return self

    @property
    def named_sources(self) -> dict[str, SourceConfig]:
        """All sources, the first one first, each by its kind; a second of a kind is `<kind>_2`."""
        first = SourceConfig(model=self.retrieval, quota=self.n_candidates)
        named: dict[str, SourceConfig] = {}
        lacks_own = self.repeats != "exclude" and all(source.model.kind != "history" for source in self.sources)
        own = [SourceConfig(model=HistoryConfig(), quota=self.n_candidates)] if lacks_own else []
        for source in (first, *self.sources, *own):
            n_alike = sum(source.model.kind == other.model.kind for other in named.values())
            named[f"{source.model.kind}_{n_alike + 1}" if n_alike else source.model.kind] = source
        return named


def load_config(preset: str, *, holdout: Holdout, settings: Iterable[str] = ()) -> PipelineConfig:
    """The config of a preset (a name, or the path of a TOML file) under a holdout, changed by `key=value` texts.

    Raises:
        InputError: an unknown preset or key, or a value out of range; the message names the key.
    """
    tree = preset_with(preset, settings)
    _apply_holdout(tree, holdout)
    if tree.get("repeats", "exclude") != "exclude":
        tree["pair_features"].setdefault("repeats", True)
    try:
        return PipelineConfig(**with_nothing(tree))
    except ValidationError as error:
        found = error.errors()
        said = [_said(_key(one["loc"]), one["type"], one["msg"]) for one in found[:MAX_PROBLEMS]]
        more = f"; and {len(found) - MAX_PROBLEMS:,} more" if len(found) > MAX_PROBLEMS else ""
        raise InputError(f"config: {'; '.join(said)}{more}; `docs/config.md` lists every key") from error


def _key(place: tuple[int | str, ...]) -> str:
    """The key as the user writes it: pydantic puts the kind of a model between its name and the setting's."""
    parts = [
        part
        for before, part in zip(("", *place), place, strict=False)
        if before not in ("retrieval", "model", "ranker")
    ]
    return printable(".".join(map(str, parts)), LONGEST_SHOWN)


def _said(key: str, problem: str, message: str) -> str:
    """What is wrong with a key; `problem` and `message` are pydantic's, whose words for an unknown key say little."""
    if problem != "extra_forbidden":
        return f"{key}: {printable(message, LONGEST_CAUSE)}"
    parts = [(prefix, type(part)) for _, prefix, part in components() if type(part) is not SourceConfig]
    known = sorted({f"{prefix}{name}" for prefix, part in parts for name in part.model_fields})
    if key in known:
        return f"{key}: a setting of another kind"
    section, dot, name = key.rpartition(".")
    near = nearest(name, [other.removeprefix(section + dot) for other in known if other.rpartition(".")[0] == section])
    likely = f"{section}{dot}{near}" if near else next((one for one in known if one.endswith(f".{key}")), None)
    return f"{key}: there is no such setting" + (f", did you mean {likely}?" if likely else "")


def _apply_holdout(tree: dict[str, Any], holdout: Holdout) -> None:
    """Write into the tree what the holdout means for each component, where the tree does not say."""
    retrieval, pair_features = (tree.setdefault(name, {}) for name in ("retrieval", "pair_features"))
    for name, section in (("retrieval", retrieval), ("pair_features", pair_features)):
        if not isinstance(section, dict):
            raise InputError(f"config: {name} is {section!r}; wanted a table [{name}]")
    pair_features.setdefault("request_time", _REQUEST_TIMES[holdout])
    retrieval.setdefault("kind", "two_tower")
    if isinstance(ranker := tree.get("ranker"), dict):
        ranker.setdefault("kind", "deep")
    row = SOURCE_KINDS.get(str(retrieval["kind"]))
    if row and "targets" in row.config.model_fields:
        retrieval.setdefault("targets", _TARGETS[holdout])
    if holdout == "random":  # what is held back came in no order, so towers that predict the next are not worth a try
        tree.setdefault("sources", [source for source in DEFAULT_SOURCES if source.model.kind != "sequence"])


def components() -> list[tuple[str, str, BaseModel]]:
    """(title, what stands before its keys, component)."""
    config = PipelineConfig()
    return [
        ("pipeline", "", config),
        ("data", "data.", config.data),
        ("each of sources", "", SourceConfig(model=config.retrieval)),
        *(
            (f'{place} (kind = "{kind}")', f"{place}.", row.config())  # type: ignore[call-arg]  # kinds have defaults
            for kind, row in SOURCE_KINDS.items()
            for place in ["retrieval" if row.has_vectors else "model"]
        ),
        ("index", "index.", config.index),
        ("popularity", "popularity.", config.popularity),
        ("pair_features", "pair_features.", config.pair_features),
        *(
            (f'ranker (kind = "{kind}")', "ranker.", row.config())  # type: ignore[call-arg]
            for kind, row in RANKER_KINDS.items()
        ),
    ]
