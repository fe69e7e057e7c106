"""Signatures of runs: who published one, by ed25519 over the bytes of its manifest, which has the hash of every file.

`cryptography` is imported where a key is used, and nowhere else.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from belfry.dataset.errors import ArtifactError, InputError, needed, printable
from belfry.pipeline.runs.manifest import SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNATURE_BYTES = 64
REQUIRE_SIGNATURE = "BELFRY_REQUIRE_SIGNATURE"  # names the public key where a call names none
_MAX_KEY_BYTES = 1 << 14  # longer ones are cut, and then none


@dataclass(frozen=True)
class Signer:
    """A private key."""

    path: Path
    _key: "Ed25519PrivateKey" = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Signer":
        """Raises InputError: the file is no such key."""
        text = _read(path)
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(text, password=None)
        except TypeError as error:
            raise InputError(f"{path}: the key is encrypted; decrypt it: openssl pkey -in KEY -out PLAIN") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(
                f"{path}: is no private key in PEM; make one: openssl genpkey -algorithm ed25519 -out KEY"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(f"{path}: is not an ed25519 key; make one: openssl genpkey -algorithm ed25519 -out KEY")
        return cls(path, key)

    def sign(self, content: bytes) -> bytes:
        signature: bytes = self._key.sign(content)
        return signature

    def belongs_to(self, trusted: "TrustedKey") -> bool:
        return bool(self._key.public_key() == trusted._key)

    @property
    def public(self) -> "TrustedKey":
        return TrustedKey(self.path, self._key.public_key())


@dataclass(frozen=True)
class TrustedKey:
    """A public key; what its owner has signed may be opened."""

    path: Path
    _key: "Ed25519PublicKey" = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "TrustedKey":
        """Raises InputError: the file is no such key."""
        text = _read(path)
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            key = load_pem_public_key(text)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(
                f"{path}: is no public key in PEM; write that of a private one: openssl pkey -in KEY -pubout"
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise InputError(f"{path}: is not an ed25519 key, and signatures of runs are")
        return cls(path, key)

    def check(self, manifest: bytes, signature: bytes | None, folder: Path | str) -> None:
        """Raises ArtifactError: the signature in `folder` is not one of this manifest by the key's owner."""
        from cryptography.exceptions import InvalidSignature

        if signature is None:
            raise ArtifactError(
                f"{folder}: the run is not signed, and a signature by {self.path} is required; publish it with --sign, "
                f"or bring its {SIGNATURE}"
            )
        try:
            self._key.verify(signature, manifest)
        except InvalidSignature as error:
            raise ArtifactError(
                f"{folder}: {SIGNATURE} is no signature of this manifest by {self.path}: it was changed, or somebody "
                "else signed it; get the run again from whom you trust"
            ) from error


def trusted_key(path: Path | None) -> TrustedKey | None:
    """The key that must have signed a run: the one in `path`, else the one that the environment names, else none.

    Raises:
        InputError: there is no such key.
    """
    named = path or os.environ.get(REQUIRE_SIGNATURE)
    return TrustedKey.read(Path(named)) if named else None


def signer(path: Path | None, required: Path | None = None) -> Signer | None:
    """Who signs a run that is to be published; nobody without a path.

    Args:
        required: the public key that runs must be signed with, as in `trusted_key`.

    Raises:
        InputError: the key cannot be used, or the run could not be opened afterwards.
    """
    found = Signer.read(path) if path else None
    trusted = trusted_key(required)
    if trusted and (found is None or not found.belongs_to(trusted)):
        how = f"--sign {printable(str(path), 200)} is another key" if path else "the run would have none"
        raise InputError(
            f"{'--require-signature' if required else REQUIRE_SIGNATURE} asks for signatures by {trusted.path}, and "
            f"{how}; sign with its private key (--sign KEY), or {'leave it out' if required else 'unset it'}"
        )
    return found


def _read(path: Path) -> bytes:
    """The text of a key, once there is a library for it."""
    needed("cryptography", "sign", str(path))
    try:
        if not path.is_file():
            raise InputError(f"{path}: is {'no file' if path.exists() else 'not there'}; name a key in PEM")
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); mend that, or name another key") from error
