"""A real https server on this machine, which misbehaves as its paths say, and counts what it is asked for."""

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes


class Handler(BaseHTTPRequestHandler):
    """Sends `CONTENT`, in the way that the first part of the path says."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range", "")))
        count = sum(path == self.path for path, _ in self.server.asked)
        way, _, rest = self.path.strip("/").partition("/")
        getattr(self, way)(rest, count)
        self.close_connection = True

    def whole(self, rest: str, count: int) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.start(206 if start else 200, len(CONTENT) - start, start)
        self.wfile.write(CONTENT[start:])

    def slow(self, rest: str, count: int) -> None:
        """Half of it, then nothing for some time, then the rest."""
        self.start(200, len(CONTENT))
        self.wfile.write(CONTENT[:256_000])
        self.wfile.flush()
        time.sleep(float(rest))
        self.wfile.write(CONTENT[256_000:])

    def truncated(self, rest: str, count: int) -> None:
        """A third of the whole file at each of the first two requests, then the rest."""
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.start(206 if start else 200, len(CONTENT) - start, start)
        self.wfile.write(CONTENT[start : start + (200_000 if count < 3 else len(CONTENT))])

    def forgetful(self, rest: str, count: int) -> None:
        """Half of the file at the first request; it knows no ranges."""
        self.start(200, len(CONTENT))
        self.wfile.write(CONTENT if count > 1 else CONTENT[:256_000])

    def always_truncated(self, rest: str, count: int) -> None:
        self.start(200, len(CONTENT))
        self.wfile.write(CONTENT[:1000])

    def stalls(self, rest: str, count: int) -> None:
        self.start(200, len(CONTENT))
        self.wfile.write(CONTENT[:1000])
        self.wfile.flush()
        self.server.ended.wait(20)

    def trickles(self, rest: str, count: int) -> None:
        self.start(200, len(CONTENT))
        for byte in CONTENT[:400]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.ended.wait(0.05):
                return

    def silent(self, rest: str, count: int) -> None:
        self.server.ended.wait(20)

    def corrupt(self, rest: str, count: int) -> None:
        self.start(200, len(CONTENT))
        self.wfile.write(CONTENT[:-1] + b"!")

    def endless(self, rest: str, count: int) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(200):
            self.wfile.write(CONTENT)

    def announces(self, rest: str, count: int) -> None:
        self.start(200, 10**13)

    def page(self, rest: str, count: int) -> None:
        body = b"<html>log in first</html>"
        self.start(int(rest), len(body))
        self.wfile.write(body)

    def to(self, rest: str, count: int) -> None:
        self.redirect(rest)

    def loop(self, rest: str, count: int) -> None:
        self.redirect(f"/loop/{int(rest or 0) + 1}")

    def redirect(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def start(self, status: int, length: int, first: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{first + length - 1}/{first + length}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The server; `asked` lists the paths and ranges of all requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str]] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gives up is what the tests are about."""


def make_certificate(folder: Path) -> Path:
    """A certificate of localhost with its key, in one file."""
    path = folder / "localhost.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path)]
    command = ["openssl", "req", "-x509", "-days", "2", *key, *names, "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text((folder / "cert.pem").read_text() + path.read_text())
    return path


@contextmanager
def running(certificate: Path) -> Iterator[Server]:
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
