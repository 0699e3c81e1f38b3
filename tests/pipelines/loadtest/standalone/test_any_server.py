"""Servers that are not ours: http.server, gRPC's own, over TCP and Unix sockets, with TLS and without."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from busy_machine import check_answers
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines.base.errors import SlipwayError
from pipelines.fairness.surroundings import listeners
from pipelines.loadtest.curve import Subject, once
from pipelines.loadtest.request import Tls
from pipelines.loadtest.settings import LoadSettings
from pipelines.loadtest.standalone.target import Wishes, parse_target
from pipelines.results import Scenario
from serving.launch import LOOPBACK

REQUESTS = 40
BODY = bytes(range(256)) * 300  # more than four records of TLS


class Handler(BaseHTTPRequestHandler):
    """Answers every method with the body that it was sent, and keeps the requests."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, list[tuple[str, str]], bytes]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.headers.items(), body))
        status = int(self.path[1:]) if self.path[1:].isdigit() else 200
        if self.path == "/early":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        self.send_response(status)
        for number in range(150 if self.path == "/many" else 1):
            self.send_header(f"X-{number}", "y")
        if self.path == "/close":
            self.send_header("Connection", "close")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names are http.server's

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def address_string(self) -> str:
        return "somebody"  # at a Unix socket there is no address


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 1


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[type[Handler]]:
    """Run a server of :class:`Handler` in a thread."""
    handler = server.RequestHandlerClass
    assert issubclass(handler, Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fresh() -> type[Handler]:
    return type("Fresh", (Handler,), {"seen": []})


@pytest.fixture
def plain() -> Iterator[tuple[str, type[Handler]]]:
    server = ThreadingHTTPServer((LOOPBACK, 0), fresh())
    with running(server) as handler:
        yield f"http://{LOOPBACK}:{server.server_port}", handler


def go(url: str, *bodies: bytes, wishes: Wishes | None = None, **settings) -> Scenario:
    """Return the result of a load test as the command does it: a first request, then the load."""
    subject = Subject(parse_target(url, wishes), bodies or (b"",))
    subject.reach()
    chosen = {"scenario": "offline", "duration_s": 30.0, "warmup_s": 0.0, "requests": REQUESTS, "concurrency": 3}
    return once(subject, LoadSettings(**{**chosen, **settings}))[0]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
def test_methods(plain: tuple[str, type[Handler]], method: str) -> None:
    url, handler = plain
    with_body = method in ("PUT", "POST")
    wishes = Wishes(method=method, content_types=("text/plain",) if with_body else ())
    check_answers(go(f"{url}/", b"abc" if with_body else b"", wishes=wishes))
    assert {(command, body) for command, _, body in handler.seen} == {(method, b"abc" if with_body else b"")}
    assert len(handler.seen) == REQUESTS + 1
    sent = {name.lower() for _, fields, _ in handler.seen for name, _ in fields}
    assert sent == ({"host", "content-length", "content-type"} if with_body else {"host"})


@pytest.mark.parametrize("path", ["/early", "/many", "/201", "/204", "/close"])
def test_answers_that_are_a_success(plain: tuple[str, type[Handler]], path: str) -> None:
    """Interim answers, in the first request, too; many headers; other statuses; connections that end."""
    check_answers(go(plain[0] + path))


def test_another_status_counts_as_success_on_request(plain: tuple[str, type[Handler]]) -> None:
    check_answers(go(f"{plain[0]}/404", wishes=Wishes(success=(200, 404))))
    for method, path, why in (("POST", "/404", "404: no page$"), ("GET", "/404", "404: Not Found$")):
        wishes = Wishes(method=method, content_types=("a/b",) if method == "POST" else ())
        with pytest.raises(SlipwayError, match=f"did not answer the first request: HTTP {why}"):
            go(plain[0] + path, b"no page" if method == "POST" else b"", wishes=wishes)
    with pytest.raises(SlipwayError, match="did not answer the first request: HTTP 301: redirects are not followed"):
        go(f"{plain[0]}/301")
    with pytest.raises(SlipwayError, match="did not answer the first request: HTTP 200"):
        go(f"{plain[0]}/", wishes=Wishes(success=(404, 404)))


def test_every_header_is_sent_and_each_body_has_its_type(plain: tuple[str, type[Handler]]) -> None:
    url, handler = plain
    types = ("application/json", "image/png")
    check_answers(go(f"{url}/", b"{}", b"png", wishes=Wishes(["X-A: 1", "x-a: 2"], content_types=types)))
    for _, fields, body in handler.seen:
        assert [value for name, value in fields if name.lower() == "x-a"] == ["1", "2"]
        assert dict(fields)["Content-Type"] == ("application/json" if body == b"{}" else "image/png")


def test_http_server_as_anybody_starts_it(cli, tmp_path: Path) -> None:
    """The command of the documentation of Python; nothing is said but where it is."""
    (tmp_path / "index.html").write_text("hello")
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", LOOPBACK, "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().split(" port ")[1].split()[0]
            url = f"http://{LOOPBACK}:{port}/index.html"
            done = cli("loadtest-url", url, "--scenario", "single-stream", "--requests", "30", "--json")
            assert [one.pid for one in listeners(parse_target(url))] == [server.pid]
        finally:
            server.kill()
    found = json.loads(done.stdout)
    assert (found["load"]["requests"], found["load"]["errors"], found["match_share"]) == (30, 0, 1.0), done.stderr


# -- TLS ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pki:
    """An authority, and what it signed: each certificate with its key, in one file and in two."""

    ca: Path
    server: Path
    client: Path
    client_cert: Path
    client_key: Path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    now = datetime.datetime.now(datetime.UTC)

    def named(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    ca_key = ec.generate_private_key(ec.SECP256R1())

    def signed(name: str, key: ec.EllipticCurvePrivateKey, is_ca: bool = False) -> x509.Certificate:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
        builder = x509.CertificateBuilder(
            named("authority"), named(name), key.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        builder = builder.add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        if not is_ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    def pem(certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.PEM)

    def write(name: str) -> tuple[Path, Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        cert, encoding = pem(signed(name, key)), serialization.Encoding.PEM
        private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        files = folder / f"{name}.pem", folder / f"{name}.crt", folder / f"{name}.key"
        for file, content in zip(files, (cert + private, cert, private), strict=True):
            file.write_bytes(content)
        return files

    (folder / "ca.pem").write_bytes(pem(signed("authority", ca_key, is_ca=True)))
    return Pki(folder / "ca.pem", write("server")[0], *write("client"))


@pytest.fixture(params=[False, True], ids=["any client", "known clients"])
def secure(request: pytest.FixtureRequest, pki: Pki) -> Iterator[tuple[int, Tls]]:
    """A server over TLS, and what its clients need."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server)
    tls = Tls("", str(pki.ca))
    if request.param:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(pki.ca)
        tls = replace(tls, cert=str(pki.client_cert), key=str(pki.client_key))
    server = ThreadingHTTPServer((LOOPBACK, 0), fresh())
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with running(server):
        yield server.server_port, tls


@pytest.mark.parametrize("path", ["/", "/close"])
def test_https(secure: tuple[int, Tls], path: str) -> None:
    port, tls = secure
    for host in ("localhost", LOOPBACK):
        check_answers(go(f"https://{host}:{port}{path}", BODY, b"x", wishes=Wishes(method="POST", tls=tls)))


def test_the_trust_in_a_server(secure: tuple[int, Tls], pki: Pki) -> None:
    port, tls = secure
    url = f"https://localhost:{port}/"
    with pytest.raises(SlipwayError, match=r"certificate is not trusted: .*--insecure"):
        go(url, wishes=Wishes(tls=replace(tls, ca=None)))
    check_answers(go(url, wishes=Wishes(tls=replace(tls, ca=None, insecure=True))))
    if tls.cert:
        with pytest.raises(SlipwayError, match=r"did not answer the first request: .*certificate required"):
            go(url, wishes=Wishes(tls=replace(tls, cert=None, key=None)))
        check_answers(go(url, wishes=Wishes(tls=replace(tls, cert=str(pki.client), key=None))))


def test_a_server_of_another_protocol_is_told(plain: tuple[str, type[Handler]]) -> None:
    with pytest.raises(SlipwayError, match=r"did not answer the first request: .*does the server speak HTTP/2"):
        go(plain[0].replace("http", "grpc") + "/a.B/Echo")
    with pytest.raises(SlipwayError, match=r"did not answer the first request: .*does the server speak TLS"):
        go(plain[0].replace("http", "https"))


def test_the_command_over_tls(cli, secure: tuple[int, Tls], tmp_path: Path) -> None:
    port, tls = secure
    body = tmp_path / "body.json"
    body.write_text("[1, 2]")
    words = [f"https://localhost:{port}/", "--body", str(body), "--ca", str(tls.ca)]
    words += ["--cert", tls.cert, "--key", str(tls.key)] if tls.cert else []
    done = cli("loadtest-url", *words, "--rate", "50", "--duration", "1", "--json")
    found = json.loads(done.stdout)
    assert (found["load"]["errors"], found["match_share"]) == (0, 1.0), done.stderr
    assert found["load"]["requests"] > 20


class Echo(grpc.GenericRpcHandler):
    def service(self, _details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(lambda request, _: request)


@contextmanager
def grpc_server(bind: Callable[[grpc.Server], int]) -> Iterator[int]:
    """Run a server of gRPC's own library."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((Echo(),))
    port = bind(server)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def test_grpc_over_tls(pki: Pki) -> None:
    pair = (pki.server.read_bytes(), pki.server.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], pki.ca.read_bytes(), require_client_auth=True)
    tls = Tls("", str(pki.ca), str(pki.client))
    with grpc_server(lambda server: server.add_secure_port(f"{LOOPBACK}:0", credentials)) as port:
        check_answers(go(f"grpcs://localhost:{port}/a.B/Echo", BODY, b"x", wishes=Wishes(tls=tls)))
        with pytest.raises(SlipwayError, match="certificate is not trusted"):
            go(f"grpcs://localhost:{port}/a.B/Echo", wishes=Wishes(tls=replace(tls, ca=None)))


def test_grpc_over_tls_needs_http2(secure: tuple[int, Tls]) -> None:
    port, tls = secure
    with pytest.raises(SlipwayError, match=r"the server chose no protocol \(ALPN\), not h2"):
        go(f"grpcs://localhost:{port}/a.B/Echo", wishes=Wishes(tls=tls))


# -- Unix sockets ---------------------------------------------------------------------------------


def test_a_unix_socket(tmp_path: Path) -> None:
    """Its queue is short: connections that the kernel does not take at once are tried again."""
    socket = tmp_path / "s"
    wishes = Wishes(method="POST", socket=socket)
    with running(UnixServer(str(socket), fresh())) as handler:
        check_answers(go("http://a.host/x", BODY, wishes=wishes, concurrency=20, requests=200))
        assert listeners(parse_target("http://a.host/x", wishes))
    assert {dict(fields)["Host"] for _, fields, _ in handler.seen} == {"a.host"}


def test_a_unix_socket_with_tls(tmp_path: Path, pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server)
    server = UnixServer(str(tmp_path / "s"), fresh())
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with running(server):
        check_answers(go("https://localhost/", wishes=Wishes(tls=Tls("", str(pki.ca)), socket=tmp_path / "s")))


def test_grpc_over_a_unix_socket(tmp_path: Path) -> None:
    with grpc_server(lambda server: server.add_insecure_port(f"unix:{tmp_path / 's'}")):
        check_answers(go("grpc://localhost/a.B/Echo", BODY, wishes=Wishes(socket=tmp_path / "s")))
