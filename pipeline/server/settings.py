"""What a server is started with. Picklable: each worker process makes its own application of it."""

from dataclasses import dataclass
from pathlib import Path

from belfry.dataset.errors import InputError
from belfry.pipeline.server.guards.keys import NO_KEYS, ApiKeys

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Settings:
    """Of all workers alike."""

    artifacts: Path  # an artifacts folder, whose current run is followed, or one run; or an address
    require_signature: Path | None = None  # the public key that each run must be signed with, as in `find_run`
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1  # processes, each with the run in memory
    keys: ApiKeys = NO_KEYS
    for_everybody: bool = False  # answers whoever reaches the port, without a key
    rate: float = 1_000  # requests a second of one client, on average
    max_waiting: int = 64  # requests that wait for a list or get one, in each worker
    timeout_s: float = 10  # to receive a request, and again to answer it
    access_log: bool = True

    def check(self) -> None:
        """Refuse to hand lists to a whole network by a slip.

        Raises:
            InputError: the port would be open to other machines, and nobody said that this is meant; or it was said,
                and keys are asked for.
        """
        if self.keys and self.for_everybody:
            raise InputError("--without-keys contradicts --api-key-file; leave one of them out")
        if self.host not in LOOPBACK and self.is_private:
            raise InputError(
                f"--host {self.host}: other machines could reach it, and no API keys are asked for; name a file of "
                "keys with --api-key-file, or say --without-keys"
            )

    @property
    def is_private(self) -> bool:
        """Whether only programs of this machine are meant to ask: then so must the Host header say."""
        return not self.keys and not self.for_everybody
