"""HTTP clients that cost little: each keeps its connection and sends its next request at once."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Client:
    """One connection, and the requests that it still has to send."""

    requests: Iterator[bytes]
    connection: socket.socket
    sent_at: float = 0.0
    received: bytearray = field(default_factory=bytearray)

    def send_next(self) -> bool:
        """Send a request. Returns whether there was one left."""
        request = next(self.requests, None)
        if request is None:
            return False
        self.received.clear()
        self.sent_at = time.perf_counter()
        self.connection.sendall(request)
        return True

    def has_answer(self) -> bool:
        """Read what has come. Returns whether the answer is whole; raises unless it says 200."""
        chunk = self.connection.recv(65536)
        assert chunk, f"the server closed the connection: {bytes(self.received)!r}"
        self.received += chunk
        head, end, body = self.received.partition(HEAD_END)
        if not end:
            return False
        assert head.startswith(b"HTTP/1.1 200"), bytes(self.received)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return len(body) >= length


def drive(port: int, work: list[list[bytes]]) -> list[float]:
    """Let one client for each list of requests send them all; returns the seconds of each."""
    took_s: list[float] = []
    with selectors.DefaultSelector() as selector:
        for requests in work:
            connection = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Client(iter(requests), connection)
            selector.register(connection, selectors.EVENT_READ, client)
            client.send_next()
        while selector.get_map():
            events = selector.select(TIMEOUT_S)
            assert events, "no answer"
            for key, _ in events:
                client = key.data
                if not client.has_answer():
                    continue
                took_s.append(time.perf_counter() - client.sent_at)
                if not client.send_next():
                    selector.unregister(client.connection)
                    client.connection.close()
    return took_s


def request(path: str, token: str) -> bytes:
    """A POST without a body, as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        "Content-Length: 0",
    ]
    return "\r\n".join(lines).encode() + HEAD_END
