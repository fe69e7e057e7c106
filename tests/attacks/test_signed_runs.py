"""A run that is opened under a required signature is the one that the key's owner published, every byte of it."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belfry import Recommender
from belfry.dataset.errors import ArtifactError, InputError
from belfry.pipeline.jobs.updating.result import Update
from belfry.pipeline.jobs.updating.update import update
from belfry.pipeline.runs.manifest import MANIFEST, SIGNATURE, Manifest, read_manifest
from belfry.pipeline.runs.reader import find_run
from belfry.pipeline.runs.signature import Signer, TrustedKey, signer
from belfry.pipeline.server.current_run import CurrentRun
from tests.attacks.resealing import reseal
from tests.pipeline.jobs.updating.world import later, train

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

ROOT = Path(__file__).parents[2]
LIGHT = ("--quiet", "--set", "retrieval.kind=pure_svd", "--set", "ranker=none", "--set", "sources=[]")


@pytest.fixture(autouse=True)
def nothing_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BELFRY_REQUIRE_SIGNATURE", raising=False)


def write_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Paths of a private key and its public one."""
    key = ed25519.Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def sign(run: Path, private: Path) -> None:
    (run / SIGNATURE).write_bytes(Signer.read(private).sign((run / MANIFEST).read_bytes()))


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "own")


@pytest.fixture
def signed(tiny_run: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    run = tmp_path / tiny_run.name
    shutil.copytree(tiny_run, run)
    sign(run, keys[0])
    return run


def test_the_owner_of_the_key_is_believed(signed: Path, keys: tuple[Path, Path]) -> None:
    loaded = Recommender.load(signed, require_signature=keys[1])
    user = loaded.users.ids[0].as_py()
    assert loaded.recommend(user, 5) == Recommender.load(signed).recommend(user, 5)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def edit_manifest(run: Path) -> None:
    """Whole in itself: its name fits."""
    edited = read_manifest(run / MANIFEST).model_copy(update={"seed": 99}).sealed()
    (run / MANIFEST).chmod(0o644)
    (run / MANIFEST).write_text(edited.to_json())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda run: (run / SIGNATURE).unlink(), "the run is not signed, and a signature by"),
    "flipped": (lambda run: flip(run / SIGNATURE), "is no signature of this manifest by"),
    "zeros": (lambda run: (run / SIGNATURE).write_bytes(bytes(64)), "is no signature of this manifest by"),
    "short": (lambda run: (run / SIGNATURE).write_bytes(bytes(63)), "which has 64 bytes"),
    "long": (lambda run: (run / SIGNATURE).write_bytes(bytes(1 << 20)), "which has 64 bytes"),
    "manifest edited": (edit_manifest, "is no signature of this manifest by"),
    "manifest with a space more": (lambda run: _append(run / MANIFEST), "is no signature of this manifest by"),
    "file changed": (lambda run: flip(run / "items.parquet"), "file 'items.parquet' has"),
    "file added": (lambda run: (run / "serving" / SIGNATURE).write_bytes(bytes(64)), "unexpected"),
    "link": (lambda run: _link(run), "is a link"),
}


def _append(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b" ")


def _link(run: Path) -> None:
    (run / SIGNATURE).rename(run.parent / "elsewhere")
    (run / SIGNATURE).symlink_to(run.parent / "elsewhere")


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_damage(damage: Callable[[Path], object], words: str, signed: Path, keys: tuple[Path, Path]) -> None:
    damage(signed)
    with pytest.raises(ArtifactError, match=words):
        Recommender.load(signed, require_signature=keys[1])


def test_a_key_of_somebody_else(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    other, _ = write_keys(tmp_path, "other")
    sign(signed, other)
    with pytest.raises(ArtifactError, match=r"no signature of this manifest by .*own\.pub\.pem"):
        Recommender.load(signed, require_signature=keys[1])


def test_a_run_resealed_around_another_file(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    titles = pq.read_table(signed / "items.parquet")
    pq.write_table(titles, tmp_path / "items.parquet", compression="none")
    resealed = reseal(signed, tmp_path, **{"items.parquet": (tmp_path / "items.parquet").read_bytes()})
    with pytest.raises(ArtifactError, match="no signature of this manifest"):
        Recommender.load(resealed, require_signature=keys[1])


def test_no_manifest_can_list_a_signature(tiny_run: Path) -> None:
    manifest = read_manifest(tiny_run / MANIFEST)
    files = manifest.files | {SIGNATURE: manifest.files["items.parquet"]}
    with pytest.raises(ValueError, match="not a plain path"):
        Manifest.model_validate(manifest.model_dump() | {"files": files})


def test_a_manifest_swapped_while_loads_run(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    """What was verified is what is used."""
    own = (signed / MANIFEST).read_bytes()
    edited = read_manifest(signed / MANIFEST).model_copy(update={"seed": 99}).sealed().to_json().encode()
    done = threading.Event()

    def swap() -> None:
        aside = tmp_path / "aside"
        while not done.is_set():
            for content in (edited, own):
                aside.write_bytes(content)
                aside.replace(signed / MANIFEST)

    thread = threading.Thread(target=swap)
    thread.start()
    n_opened = n_refused = 0
    try:
        for _ in range(400):
            try:
                assert find_run(signed, keys[1]).manifest.seed == 0
                n_opened += 1
            except ArtifactError as error:
                assert "no signature of this manifest" in str(error)
                n_refused += 1
    finally:
        done.set()
        thread.join()
    assert n_opened and n_refused


def test_the_environment_requires_one_of_all(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, other_public = write_keys(tmp_path, "other")
    monkeypatch.setenv("BELFRY_REQUIRE_SIGNATURE", str(other_public))
    with pytest.raises(ArtifactError, match=r"by .*other\.pub\.pem"):
        Recommender.load(signed)
    Recommender.load(signed, require_signature=keys[1])  # the call's key is nearer
    signer(other)
    with pytest.raises(InputError, match="the run would have none"):
        signer(None)
    with pytest.raises(InputError, match="is another key"):
        signer(keys[0])


def test_a_pickled_recommender_asks_again(signed: Path, keys: tuple[Path, Path]) -> None:
    text = pickle.dumps(Recommender.load(signed, require_signature=keys[1]))
    pickle.loads(text)
    (signed / SIGNATURE).unlink()
    with pytest.raises(ArtifactError, match="is not signed"):
        pickle.loads(text)


def test_what_is_no_key(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    files = {
        "elliptic": elliptic.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "elliptic.pub": elliptic.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "locked": ed25519.Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
        ),
        "text": b"no key",
        "large": bytes(1 << 20),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name, words in {
        "elliptic": "not an ed25519 key",
        "locked": "encrypted",
        "text": "no private key in PEM",
        "large": "no private key in PEM",
        "gone": "is not there",
        ".": "is no file",
        "own.pub.pem": "no private key in PEM",
    }.items():
        with pytest.raises(InputError, match=words):
            Signer.read(tmp_path / name)
    for name, words in {
        "elliptic.pub": "not an ed25519 key",
        "text": "no public key",
        "own.pem": "no public key",
    }.items():
        with pytest.raises(InputError, match=words):
            TrustedKey.read(tmp_path / name)


def test_without_the_library(signed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InputError, match=r"belfry-recommender\[sign\]"):
        Recommender.load(signed, require_signature=keys[1])
    Recommender.load(signed)


def belfry(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "belfry", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ, check=False)


def test_the_verbs(keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    generator = np.random.default_rng(0)
    events, artifacts = tmp_path / "events.parquet", tmp_path / "artifacts"
    rows = [(user, int(item)) for user in range(40) for item in generator.choice(24, 8, replace=False)]
    users, items = zip(*rows, strict=True)
    pq.write_table(pa.table({"user_id": users, "item_id": items}), events)
    done = belfry("train", "--interactions", events, "--artifacts", artifacts, "--sign", public, *LIGHT)
    assert (done.returncode, artifacts.exists()) == (2, False)
    assert "is no private key in PEM; make one: openssl genpkey -algorithm ed25519 -out KEY" in done.stderr
    train = ["train", "--interactions", events, "--artifacts", artifacts]
    assert belfry(*train, "--sign", private, *LIGHT).returncode == 0
    required = ["--artifacts", artifacts, "--require-signature", public]
    assert belfry("recommend", "1", *required).returncode == 0
    (run,) = (path.parent for path in artifacts.glob(f"*/{MANIFEST}"))
    assert not (run / SIGNATURE).stat().st_mode & 0o222
    if shutil.which("openssl"):
        verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", run / MANIFEST]
        assert subprocess.run([*verify, "-sigfile", run / SIGNATURE], check=False, capture_output=True).returncode == 0
    (run / SIGNATURE).unlink()
    for verb in (
        ["update", artifacts, "--interactions", events, "--sign", private, *required[2:]],
        ["serve", *required],
        ["recommend", "1", *required],
        ["batch", "--out", tmp_path / "out", *required],
        ["evaluate", "--test", events, *required],
        ["compare", artifacts, artifacts, "--train", events, "--test", events, "--out", tmp_path / "c", *required[2:]],
        ["runs", "verify", *required],
    ):
        done = belfry(*verb)
        assert done.returncode == 2, done.stderr
        assert "the run is not signed" in done.stderr + done.stdout
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small(keys: tuple[Path, Path], tmp_path: Path) -> Path:
    """A small signed run, the current one of its folder."""
    return train(tmp_path / "artifacts", sign=keys[0]).run.folder


def updated(run: Path, private: Path | None = None, **options: Path) -> Update:
    return update(run, later([(2, 4)]), sign=private, **options)


def test_an_update_warns_where_its_signature_says_less_or_more(
    small: Path, keys: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = write_keys(tmp_path, "other")

    def warnings(*keys: Path, **options: Path) -> str:
        caplog.clear()
        folder = updated(small, *keys[:1], **options).folder
        assert (folder / SIGNATURE).exists() == bool(keys)
        if keys:
            Recommender.load(folder, require_signature=keys[1])
        return "".join(record.getMessage() for record in caplog.records if "sign" in record.getMessage())

    with_none = f"note: run {small.name} is signed, and what is made of it will not be; sign it too: --sign KEY"
    unsigned = "note: run {} is not signed by {}, and what is made of it will be; where others may write to it, name "
    assert warnings() == with_none
    assert warnings(*keys) == warnings(*keys, require_signature=keys[1]) == ""
    assert warnings(*other).startswith(unsigned.format(small.name, other[0]))
    (small / SIGNATURE).unlink()
    assert warnings(*keys).startswith(unsigned.format(small.name, keys[0]))
    assert warnings() == ""


def test_training_on_from_a_signed_run_warns_too(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(small.parent, start_from=small)
    assert f"note: run {small.name} is signed, and what is made of it will not be" in caplog.text


def test_an_update_that_could_not_be_opened_is_refused(
    small: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, other_public = write_keys(tmp_path, "other")
    with pytest.raises(
        InputError, match=r"^--require-signature asks for signatures by .*, and the run would have none"
    ):
        updated(small, require_signature=keys[1])
    with pytest.raises(InputError, match=r"other\.pem is another key"):
        updated(small, other, require_signature=keys[1])
    with pytest.raises(ArtifactError, match=r"no signature of this manifest by .*other\.pub\.pem"):
        updated(small, other, require_signature=other_public)
    monkeypatch.setenv("BELFRY_REQUIRE_SIGNATURE", str(keys[1]))
    with pytest.raises(
        InputError, match=r"^BELFRY_REQUIRE_SIGNATURE asks for signatures by .*, and the run would have"
    ):
        updated(small)
    assert [run.parent.name for run in small.parent.glob(f"*/{MANIFEST}")] == [small.name]
    assert updated(small, keys[0]).is_published


def test_a_server_takes_up_signed_runs_alone(
    small: Path, keys: tuple[Path, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other, _ = write_keys(tmp_path, "other")
    served = CurrentRun(small.parent, require_signature=keys[1])
    served.look()

    def state() -> tuple[bool, str]:
        assert served.recommender
        served.look()
        return served.is_refused, served.recommender.run.name

    for private, words in ((None, "the run is not signed"), (other, "somebody else signed it")):
        updated(small, private)
        assert state() == (True, small.name)
        assert words in caplog.text
    newest = updated(small, keys[0])
    assert state() == (False, newest.run)
