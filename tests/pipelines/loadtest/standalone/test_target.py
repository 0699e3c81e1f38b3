from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base.errors import SlipwayError, UserError
from pipelines.loadtest.generator.http import request_bytes
from pipelines.loadtest.request import Tls
from pipelines.loadtest.standalone.target import Wishes, body_files, content_type, parse_target, read_bodies


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("http://127.0.0.1:9000/x?y=1", "http://127.0.0.1:9000", "/x?y=1"),
        ("http://127.0.0.1", "http://127.0.0.1:80", "/"),
        ("http://[::1]:9000/x", "http://[::1]:9000", "/x"),
        ("http://10.1.2.3:80/x", "http://10.1.2.3:80", "/x"),
        ("grpc://192.168.0.1:5/a.B/C", "grpc://192.168.0.1:5", "/a.B/C"),
        ("https://127.0.0.1/x", "https://127.0.0.1:443", "/x"),
        ("grpcs://127.0.0.1/a.B/C", "grpcs://127.0.0.1:443", "/a.B/C"),
    ],
)
def test_addresses(url: str, address: str, path: str) -> None:
    call = parse_target(url)
    assert (call.url, call.path, call.fields) == (address, path, ())


def test_a_name_is_resolved_once_and_stays_the_host() -> None:
    call = parse_target("http://localhost:9000/x", Wishes(["X-A: b: c"]))
    assert call.url in ("http://127.0.0.1:9000", "http://[::1]:9000")
    assert (call.authority, call.fields) == ("localhost:9000", (("X-A", "b: c"),))
    assert parse_target("https://localhost:9000/x").tls == Tls("localhost")
    lines = request_bytes(call, b"").decode().split("\r\n")
    assert lines[1:3] == ["Host: localhost:9000", "X-A: b: c"]


def test_the_method_follows_from_the_body() -> None:
    url = "http://127.0.0.1:1/x"
    assert parse_target(url).method == "GET"
    assert parse_target(url, Wishes(content_types=("a/b",))).method == "POST"
    assert parse_target(url, Wishes(content_types=("a/b",), method="PUT")).method == "PUT"
    assert parse_target("grpc://127.0.0.1:1/a/b").method == "POST"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "has no scheme"),
        ("127.0.0.1:80", "has no scheme"),
        ("ftp://127.0.0.1:1/", "ftp:// is not supported"),
        ("http://", "has no host"),
        ("http://h:x/", "cannot read the address"),
        ("http://[::1/", "cannot read the address"),
        ("http://u:p@127.0.0.1/", "no user name or password in an address"),
        ("http://127.0.0.1/#x", "never sees what follows a #"),
        ("grpc://127.0.0.1/a/b", "grpc:// needs a port"),
    ],
)
def test_what_is_no_address(url: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        parse_target(url)
    assert "u:p" not in str(caught.value)


def test_remote_addresses_need_a_yes() -> None:
    with pytest.raises(UserError, match="--allow-remote"):
        parse_target("http://8.8.8.8/")
    assert parse_target("http://8.8.8.8/", Wishes(allow_remote=True)).url == "http://8.8.8.8:80"


def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(SlipwayError, match=r"cannot find the host no-such-host\.invalid"):
        parse_target("http://no-such-host.invalid:1/")


@pytest.mark.parametrize("header", ["x", ": b", "a b: c", "a: b\r\nc: d"])
def test_what_is_no_header(header: str) -> None:
    with pytest.raises(UserError, match="not a header"):
        parse_target("http://127.0.0.1:1/", Wishes([header]))


def test_bodies(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    assert read_bodies(body_files([tmp_path, tmp_path / "b"])) == [b"a", b"b", b"b"]
    assert read_bodies([]) == [b""]
    with pytest.raises(UserError, match="cannot read a body"):
        read_bodies(body_files([tmp_path / "none"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no file with a body"):
        body_files([tmp_path / "empty"])
    names = {"a.json": "application/json", "a.png": "image/png", "a": "application/octet-stream"}
    assert {name: content_type(Path(name)) for name in names} == names
