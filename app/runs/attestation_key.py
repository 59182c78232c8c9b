"""The key that this worker signs attestations with: the operator's, or one made here once.

The private key stays with the worker. Workers that share no key each have their own; the database
publishes the public half of every one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from app.domain.dsse import SigningKey
from app.errors import UserError
from app.settings import read_secret_file

FILE_NAME = "attestation-key.pem"
"""The generated key, in HONK_HOME."""


def load(given: SecretStr | None, home: Path) -> tuple[SigningKey, SecretStr]:
    """The signing key and its PEM, which must never be published.

    `given` is the operator's key. Without one, a key is made in `home` the first time; processes
    that share `home` agree on one. Raises UserError for a key that cannot sign.
    """
    if given is not None:
        return _read(given, "HONK_ATTESTATION_KEY"), given
    path = home / FILE_NAME
    if not path.exists():
        _make(path)
    pem = SecretStr(read_secret_file(path, setting="The attestation key"))
    return _read(pem, str(path)), pem


def _read(pem: SecretStr, name: str) -> SigningKey:
    try:
        return SigningKey.from_pem(pem.get_secret_value())
    except ValueError as problem:
        raise UserError(
            f"{name} cannot sign attestations: {problem}.",
            next_step="Make an Ed25519 key with: openssl genpkey -algorithm ed25519",
        ) from None


def _make(path: Path) -> None:
    """Write a new key that only this user can read, unless another process was first."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # `mkstemp` makes files with mode 0600.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a hard link never replaces a key that appeared in the meantime.
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    except OSError as problem:
        raise UserError(f"{path} could not be written ({problem.strerror}).") from None
    finally:
        temporary.unlink(missing_ok=True)
