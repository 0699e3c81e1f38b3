"""gRPC over TLS, whose transport pauses and ends in another way than TCP's."""

from __future__ import annotations

import datetime
import ipaddress
import ssl

import grpc
import pytest

from serving.launch import LOOPBACK

SECONDS = 30
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The file of a key and its certificate, and the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "pem"
    path.write_bytes(pem + made)
    return path, made


@pytest.fixture
def secure(certificate, tools):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(certificate[0])
    with tools.serving(tls=context) as server:
        yield server


def channel(server, certificate) -> grpc.Channel:
    return grpc.secure_channel(f"{LOOPBACK}:{server.port}", grpc.ssl_channel_credentials(certificate[1]), UNLIMITED)


def test_large_messages_both_ways_at_once(secure, certificate, tools):
    body = bytes(5_000_000)
    with channel(secure, certificate) as clients:
        echo = clients.unary_unary("/t.T/Echo")
        assert [each.result() == body for each in [echo.future(body, timeout=SECONDS) for _ in range(20)]] == [
            True
        ] * 20
    tools.until(lambda: not secure.alive)


def test_a_graceful_end(secure, certificate, tools):
    with channel(secure, certificate) as clients:
        running = [clients.unary_unary("/t.T/Make").future(b"20000000", timeout=SECONDS) for _ in range(5)]
        tools.until(lambda: sum(each["running"] + each["waiting"] for each in secure.state()))
        secure.drain()
        assert [len(each.result()) for each in running] == [20_000_000] * 5
        tools.until(lambda: not secure.alive)


def test_a_peer_without_tls(secure, tools):
    with tools.Peer(secure.port) as peer:
        assert peer.read() is None
    tools.until(lambda: not secure.alive)
