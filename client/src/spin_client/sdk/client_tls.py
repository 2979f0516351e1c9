"""Files with which a client meets TLS: whom it trusts, and what it shows of itself to runtimes that ask."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from spin_client.sdk.errors import SpinError


@dataclass(frozen=True)
class ClientTls:
    # PEM files. Without an authority the system's own ones are trusted.
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext | bool:
        """For aiohttp: True stands for its default. Raises SpinError."""
        if self == SYSTEM:
            return True
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as fault:
            raise SpinError("INVALID_ARGUMENT", f"cannot read the CA file {self.ca_file}: {fault}") from None
        if self.certificate is not None or self.key is not None:
            self._show(context)
        return context

    def _show(self, context: ssl.SSLContext) -> None:
        if self.certificate is None or self.key is None:
            raise SpinError("INVALID_ARGUMENT", "a client certificate and its key are needed together: SPIN_CLIENT_CERT and SPIN_CLIENT_KEY")
        try:
            # An encrypted key would make OpenSSL ask on the terminal.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ssl.SSLError) as fault:
            text = f"the client certificate {self.certificate} and the key {self.key} cannot be used together: {fault.strerror or fault}"
            raise SpinError("INVALID_ARGUMENT", text) from None


# What the system trusts, and nothing to show.
SYSTEM = ClientTls()
