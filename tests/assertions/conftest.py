"""Servers on the loopback address that do what a test tells them to."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which

import pytest

Script = Callable[[socket.socket, threading.Event], None]


class Server:
    """Accepts connections and runs *script* with each, in a thread of its own."""

    def __init__(self, script: Script, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.script = script
        self.closing = threading.Event()
        self.heads: list[str] = []
        self._listener = socket.create_server(
            ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family
        )
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.closing.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                conn, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._talk, args=(conn,))
            self._threads.append(thread)
            thread.start()

    def _talk(self, conn: socket.socket) -> None:
        with conn:
            conn.settimeout(5)
            try:
                self.script(conn, self.closing)
            except OSError:
                return  # the client went away, which is what many tests are about


def read_head(conn: socket.socket) -> str:
    """Return the head of a request, empty when the client closed."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = conn.recv(1)
        if not piece:
            return ""
        head += piece
    return head.decode("latin-1")


class Serve:
    """Starts servers, and knows the usual scripts."""

    def __init__(self) -> None:
        self.servers: list[Server] = []

    def script(self, script: Script, family: socket.AddressFamily = socket.AF_INET) -> Server:
        """Start a server that runs *script* with each connection."""
        self.servers.append(Server(script, family))
        return self.servers[-1]

    def answer(self, answer: bytes | str, family: socket.AddressFamily = socket.AF_INET) -> Server:
        """Start a server that reads the head of a request and sends *answer*, whatever it is."""
        return self.route(lambda _head: answer, family)

    def route(
        self,
        answer: Callable[[str], bytes | str],
        family: socket.AddressFamily = socket.AF_INET,
    ) -> Server:
        """Start a server that sends what *answer* returns for the head of a request."""

        def script(conn: socket.socket, closing: threading.Event) -> None:
            head = read_head(conn)
            server.heads.append(head)
            data = answer(head)
            conn.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

        server = self.script(script, family)
        return server

    def close(self) -> None:
        for server in self.servers:
            server.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; all of them end with the test."""
    started = Serve()
    yield started
    started.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a key and a certificate for 127.0.0.1 and localhost, its own authority."""
    if which("openssl") is None:
        pytest.skip("no openssl to make a certificate with: install the package openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
            "-keyout", "key.pem", "-out", "cert.pem",
        ],
        cwd=folder, check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def tls_server_context(certificate: Path) -> ssl.SSLContext:
    """Return how a server with the certificate of these tests speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
