"""Certificates for the tests, signed by an authority of the tests."""

from datetime import UTC, datetime
from pathlib import Path

import trustme

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Authority:
    """Signs certificates. Each is a file in *directory* that also holds the private key."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._authority = trustme.CA()
        self._issued = 0
        self.file = directory / f"{name}.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def issue(self, *names: str, expired: bool = False) -> Path:
        """Return the file of a certificate for these host names and addresses, or for an e-mail address of a client."""
        signed = self._authority.issue_cert(*names, not_after=LONG_AGO if expired else None)
        self._issued += 1
        file = self._directory / f"{self._name}-{self._issued}.pem"
        signed.private_key_and_cert_chain_pem.write_to_path(str(file))
        return file
