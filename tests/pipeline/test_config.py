"""Configs: presets, holdouts, `--set`, and refusals that name the key."""

from pathlib import Path
from typing import Any

import pytest

from belfry.dataset.errors import InputError
from belfry.dataset.folds import Holdout
from belfry.pipeline.config import PipelineConfig, load_config
from belfry.pipeline.config_page import describe
from belfry.pipeline.config_text import preset_names
from belfry.pipeline.kinds import RANKER_KINDS, SOURCE_KINDS
from belfry.ranking.listwise.config import DeepRankerConfig
from belfry.retrieval.config import ReportConfig, TwoTowerConfig

HOLDOUTS: tuple[Holdout, ...] = ("time", "last", "random")


def two_tower(config: PipelineConfig) -> TwoTowerConfig:
    assert isinstance(config.retrieval, TwoTowerConfig)
    return config.retrieval


@pytest.mark.parametrize("holdout", HOLDOUTS)
@pytest.mark.parametrize("preset", preset_names())
def test_presets_load(preset: str, holdout: Holdout) -> None:
    config = load_config(preset, holdout=holdout)
    assert PipelineConfig.model_validate(config.model_dump(mode="json")) == config


def test_there_are_the_presets_that_are_promised() -> None:
    assert {"default", "report"} <= set(preset_names())


def test_the_default_preset_is_every_default() -> None:
    config = PipelineConfig()
    without_order = tuple(source for source in config.sources if source.model.kind != "sequence")
    assert load_config("default", holdout="random") == config.model_copy(update={"sources": without_order})
    assert load_config("default", holdout="last").sources == config.sources


def test_the_report_has_its_settings_and_no_second_stage() -> None:
    config = load_config("report", holdout="random")
    assert config.retrieval == ReportConfig()
    assert (config.retrieval.embedding_size, config.retrieval.epochs) == (32, 10)
    assert config.retrieval.learning_rate == 0.1
    assert config.ranker is None
    assert config.sources == ()


@pytest.mark.parametrize(
    ("holdout", "targets", "request_time"),
    [("random", "any", "user_last"), ("last", "next", "user_last"), ("time", "next", "history_end")],
)
def test_a_holdout_sets_what_the_models_aim_at(holdout: Holdout, targets: str, request_time: str) -> None:
    config = load_config("default", holdout=holdout)
    assert two_tower(config).targets == targets
    assert config.pair_features.request_time == request_time


def test_set_overrules_the_holdout() -> None:
    settings = ["retrieval.targets=any", "pair_features.request_time=user_last"]
    config = load_config("default", holdout="time", settings=settings)
    assert two_tower(config).targets == "any"
    assert config.pair_features.request_time == "user_last"


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("retrieval.embedding_size=16", "retrieval.embedding_size", 16),
        (" retrieval.embedding_size = 16 ", "retrieval.embedding_size", 16),
        ("retrieval.learning_rate=1e-3", "retrieval.learning_rate", 1e-3),
        ("retrieval.hidden_share=[0.1, 0.2]", "retrieval.hidden_share", (0.1, 0.2)),
        ("ranker.widths=[8]", "ranker.widths", (8,)),
        ('ranker.objective="binary"', "ranker.objective", "binary"),
        ("ranker.objective=binary", "ranker.objective", "binary"),
        ("n_candidates=7", "n_candidates", 7),
        ('data.text_columns=["title"]', "data.text_columns", ("title",)),
        ("data.ignore_columns=title", "data.ignore_columns", ("title",)),
        ('data.list_columns=["tags", ["genres", "/"]]', "data.list_columns", ("tags", ("genres", "/"))),
        ("data.rating_range=[1, 5]", "data.rating_range", (1, 5)),
        ("data.repeated_event=keep", "data.repeated_event", "keep"),
        ("ranker=none", "ranker", None),
        ('ranker="none"', "ranker", None),
        ("popularity.half_life_days=none", "popularity.half_life_days", None),
    ],
)
def test_forms_of_set(setting: str, path: str, value: object) -> None:
    found: Any = load_config("default", holdout="random", settings=[setting])
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize("kind", [kind for kind, row in SOURCE_KINDS.items() if row.has_vectors])
@pytest.mark.parametrize("holdout", HOLDOUTS)
def test_every_kind_of_towers_can_be_set(kind: str, holdout: Holdout) -> None:
    found = load_config("default", holdout=holdout, settings=[f"retrieval.kind={kind}"]).retrieval
    assert found.kind == kind
    assert getattr(found, "targets", None) in ({"any", "next"} if kind in ("two_tower", "multitask") else {None})


@pytest.mark.parametrize("kind", [kind for kind, row in RANKER_KINDS.items() if row.family == "listwise"])
def test_every_kind_of_ranker_can_be_set(kind: str) -> None:
    config = load_config("default", holdout="random", settings=[f"ranker.kind={kind}", "ranker.label=liked"])
    assert config.ranker is not None
    assert (config.ranker.kind, config.ranker.label) == (kind, "liked")
    assert PipelineConfig.model_validate_json(config.model_dump_json()) == config


def test_there_are_the_rankers_that_are_promised() -> None:
    promised = {"deep", "cross", "wide_deep", "neural_mf", "attention", "transformer", "lightgbm"}
    assert promised <= set(RANKER_KINDS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["kind=forest"], r"ranker: .*forest"),
        (["kind=deep", "cross_layers=2"], r"ranker\.cross_layers: a setting of another kind"),
        (["kind=lightgbm", "members=2"], r"ranker\.members: a setting of another kind"),
        (["kind=lightgbm", "objective=softmax"], r"ranker\.objective: Input should be 'lambdarank' or 'binary'"),
        (["kind=transformer", "size=30"], "ranker: .*n_heads=4 does not divide size=30"),
        (["label=rating", "objective=bpr"], "ranker: .*objective=bpr knows positives and negatives alone"),
        (["label=rating", "objective=hinge"], "ranker: .*objective=hinge knows positives and negatives alone"),
        (["retrieval_weight=-1"], r"ranker\.retrieval_weight: .* greater than or equal to 0"),
        (["members=0"], r"ranker\.members: .* greater than or equal to 1"),
        (["validation_share=1"], r"ranker\.validation_share: .* less than 1"),
    ],
)
def test_what_a_ranker_cannot_be(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config("default", holdout="random", settings=[f"ranker.{setting}" for setting in settings])


def test_the_last_of_two_settings_holds() -> None:
    assert load_config("default", holdout="random", settings=["folds=3", "folds=4"]).folds == 4


def test_set_changes_one_key_of_a_component() -> None:
    config = load_config("default", holdout="random", settings=["ranker.epochs=3"])
    assert config.ranker == DeepRankerConfig(epochs=3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("retrieval.embeding_size=16", r"retrieval\.embeding_size: .*did you mean retrieval\.embedding_size\?"),
        ("nonsense=1", "nonsense: there is no such setting; .*config.md"),
        ("retrieval.embedding_size=0", r"retrieval\.embedding_size: .* greater than or equal to 1"),
        ("retrieval.embedding_size=many", r"retrieval\.embedding_size: .* valid integer"),
        ("retrieval.learning_rate=-1", "learning_rate: .* greater than 0"),
        ("retrieval.kind=three_tower", r"retrieval: .*three_tower"),
        ("ranker.widths=[]", "ranker.widths: .* at least 1 item"),
        ("ranker.dropout=1", "ranker.dropout: .* less than 1"),
        ("folds=1", "folds: .* greater than or equal to 2"),
        ("n_candidates=99999999999999999999", "n_candidates: .* less than or equal to 1000000"),
        ("n_candidates=0", "n_candidates: .* greater than or equal to 1"),
        ("data.rating_range=[1, 2, 3]", "data.rating_range"),
        ("retrieval.learning_rate=nan", "learning_rate"),
        ("ranker.learning_rate=inf", "learning_rate"),
        ("retrieval.hidden_share=[0.2, 1.5]", "hidden_share.1: .* less than 1"),
        ("retrieval.hidden_share=[0.5, 0.2]", "hidden_share: .* name the lower share first"),
        ("retrieval=none", "retrieval"),
        ('retrieval.kind=["two_tower"]', "retrieval: .*two_tower"),
        ("quota=3", "quota: there is no such setting"),
        ("retrieval.a=1", "retrieval.a: there is no such setting; "),
        ("retrieval=5", "retrieval"),
        ("folds.x=1", "folds"),
        ("folds=5=6", "folds"),
    ],
)
def test_what_is_wrong_is_named(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config("default", holdout="random", settings=[setting])


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(InputError, match=r"folds: .*; ranker\.epochs: |ranker\.epochs: .*; folds: "):
        load_config("default", holdout="random", settings=["folds=0", "ranker.epochs=0"])


@pytest.mark.parametrize("setting", ["folds", "", "=3", ".=3", "retrieval.=3", "folds: 3"])
def test_a_setting_of_another_form_is_refused(setting: str) -> None:
    with pytest.raises(InputError, match=r"--set|config: "):
        load_config("default", holdout="random", settings=[setting])


def test_a_value_has_no_keys_below_it() -> None:
    with pytest.raises(InputError, match=r"--set 'folds\.deep': 'folds' is a value and has no keys below it"):
        load_config("default", holdout="random", settings=["folds=3", "folds.deep=1"])


@pytest.mark.parametrize("preset", ["defaults", "", "../default", "missing.toml"])
def test_an_unknown_preset_is_refused(preset: str) -> None:
    with pytest.raises(InputError, match=r"known are default, .*report.*, or the path of a \.toml file"):
        load_config(preset, holdout="random")


def test_a_file_as_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('folds = 3\nranker = "none"\n[retrieval]\nembedding_size = 8\n')
    config = load_config(str(path), holdout="time", settings=["folds=4"])
    assert (config.folds, config.ranker, two_tower(config).embedding_size) == (4, None, 8)
    assert two_tower(config).targets == "next"


@pytest.mark.parametrize("content", [b"folds = = 3", b"\xff\xfe", b"[retrieval\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"mine\.toml: is no TOML"):
        load_config(str(path), holdout="random")


def test_a_file_with_a_value_where_a_component_belongs(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("retrieval = 5\n")
    with pytest.raises(InputError, match="retrieval"):
        load_config(str(path), holdout="random")


def test_the_page_of_settings_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "config.md"
    assert page.read_text() == describe(), "run: python -m belfry.pipeline.config_page"


def test_a_rating_range_must_rise() -> None:
    with pytest.raises(InputError, match=r"data\.rating_range: .*runs from 5.0 down to 1.0"):
        load_config("default", holdout="random", settings=["data.rating_range=[5, 1]"])


def test_event_weights_and_usage_columns_as_text() -> None:
    settings = ['event_weights=[["bought", 2.0], ["seen", 0.0]]', 'usage_columns=["n_visits"]']
    config = load_config("default", holdout="random", settings=settings)
    assert config.event_weights == (("bought", 2.0), ("seen", 0.0))
    assert config.usage_columns == ("n_visits",)
    with pytest.raises(
        InputError, match=r"event_weights: .*'seen' counts 0 and 'bought' below it 2; put the best first"
    ):
        load_config("default", holdout="random", settings=['event_weights=[["seen", 0.0], ["bought", 2.0]]'])


@pytest.mark.parametrize("after", ["sequential_rulez", "sequence"])
def test_a_dear_source_comes_after_another_one(after: str) -> None:
    sources = f'sources=[{{model={{kind="sequence"}}, optional=true, after="{after}"}}]'
    with pytest.raises(
        InputError, match=f"source 'sequence' comes after '{after}', which is no other source: two_tower"
    ):
        load_config("default", holdout="last", settings=[sources])


def test_a_dear_source_is_optional() -> None:
    sources = 'sources=[{model={kind="popularity"}}, {model={kind="sequence"}, after="popularity"}]'
    with pytest.raises(InputError, match="set optional to true"):
        load_config("default", holdout="last", settings=[sources])
