"""Which server a client asks for in TLS, read by OpenSSL itself from the first bytes."""

from __future__ import annotations

import ssl

MAX_HELLO = 32 << 10


class ClientHello:
    """Collects the beginning of a TLS connection until it names a server."""

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
        """More bytes, as they came. Raises ValueError when this is no beginning of TLS."""
        self.data += data
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            if len(self.data) > MAX_HELLO and not self.complete:
                raise ValueError("an endless hello") from None
        except ssl.SSLError as error:
            # There is no certificate to go on with; the name was asked for before that shows.
            if not self.complete:
                raise ValueError("no TLS") from error
