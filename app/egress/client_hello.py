"""Read the server name (SNI) from the first bytes of a TLS connection, using OpenSSL."""

from __future__ import annotations

import ssl

MAX_HELLO = 32 << 10


class ClientHello:
    """Collects the start of a TLS connection until the server name is known."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._named
        self._incoming = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, ssl.MemoryBIO(), server_side=True)
        self.data = b""
        self.complete = False
        self.server_name: str | None = None

    def _named(self, _tls: object, name: str | None, _context: object) -> None:
        self.complete = True
        self.server_name = name

    def feed(self, data: bytes) -> None:
        """Add received bytes. Raises ValueError if this is not TLS."""
        self.data += data
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if len(self.data) > MAX_HELLO and not self.complete:
                raise ValueError("an endless hello") from None
        except ssl.SSLError as error:
            # The handshake always fails for lack of a certificate, but after the SNI callback.
            if not self.complete:
                raise ValueError("no TLS") from error
