"""Who may use the page, and what it takes from them."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import pytest
from patience import wait_for
from web_client import Visitor

from pipelines.web.security import MAX_BODY_BYTES, MOST_REQUESTS

ROW = b'{"row": 0}'
MIB = 2**20


def test_the_page_has_a_policy_without_inline_script_and_is_isolated(visitor: Visitor) -> None:
    policy = dict(part.strip().split(" ", 1) for part in visitor.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert visitor.headers["cross-origin-opener-policy"] == "same-origin"
    assert visitor.headers["cross-origin-embedder-policy"] == "require-corp"
    assert visitor.headers["x-content-type-options"] == "nosniff"
    assert visitor.headers["referrer-policy"] == "no-referrer"
    assert re.findall(r"<script(?![^>]* src=)", visitor.page) == []
    assert re.findall(r"\son\w+=", visitor.page) == []
    assert re.findall(r"https?://", visitor.page) == []


def test_the_cookie_is_for_this_page_alone(visitor: Visitor) -> None:
    parts = [part.strip() for part in visitor.headers["set-cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(parts)
    token = visitor.opening.partition("token=")[2]
    assert token not in visitor.headers["set-cookie"]
    assert token not in visitor.page


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/?token=%FF", "/about", "/events", "/page/main.mjs"]
)
def test_nobody_comes_in_without_the_token(visitor: Visitor, path: str) -> None:
    for cookie in (None, "slipway-web=x", f"{visitor.cookie}x"):
        status, headers, body = visitor.get(path, cookie=cookie)
        assert status == 403
        assert b"slipway web" in body
        assert "set-cookie" not in headers
        assert "content-security-policy" in headers


def test_the_token_opens_the_page_and_nothing_else(visitor: Visitor) -> None:
    query = visitor.opening.partition("?")[2]
    assert visitor.get(f"/about?{query}", cookie=None)[0] == 403
    assert visitor.post(f"/?{query}", b"", cookie=None)[0] == 403
    assert visitor.get("/about")[0] == 200
    assert visitor.get("/")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "evil.example:{port}", ""])
def test_another_host_is_refused(visitor: Visitor, host: str) -> None:
    for path in ("/about", visitor.opening):
        assert visitor.get(path, host=host.format(port=visitor.port))[0] == 403


def test_localhost_is_this_page_too(visitor: Visitor) -> None:
    assert visitor.get("/about", host=f"localhost:{visitor.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://{host}", "http://localhost:{port}"]
)
def test_another_origin_is_refused(visitor: Visitor, origin: str) -> None:
    changed = {"origin": origin.format(host=visitor.host, port=visitor.port)}
    assert visitor.get("/about", **changed)[0] == 403
    assert visitor.post("/ask", ROW, **changed)[0] == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_of_another_site_is_believed(visitor: Visitor, site: str) -> None:
    assert visitor.get("/about", sec_fetch_site=site)[0] == 403
    assert visitor.get(visitor.opening, sec_fetch_site=site)[0] == 200  # a link may lead here


@pytest.mark.parametrize("changed", [{"x_slipway_csrf": None}, {"x_slipway_csrf": "wrong"}, {"origin": None}])
def test_a_request_that_no_script_of_the_page_made_is_refused(visitor: Visitor, changed: dict[str, str | None]) -> None:
    assert visitor.post("/ask", ROW, **changed)[0] == 403
    assert visitor.post("/ask", ROW)[0] == 200


@pytest.mark.parametrize("mib", [17, 50])
def test_a_large_upload_is_refused_with_an_answer(visitor: Visitor, mib: int) -> None:
    assert mib * MIB > MAX_BODY_BYTES
    status, _, body = visitor.post("/ask", bytes(mib * MIB), content_type="image/png")
    assert (status, body) == (413, b"At most 16 MiB are read. Received: more.\n")


def test_an_upload_without_a_length_is_bounded_too(visitor: Visitor) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(17):
            yield bytes(MIB)

    status, _, _ = visitor.post("/ask", parts(), content_type="image/png")
    assert status == 413
    assert visitor.get("/about")[0] == 200


def test_connections_without_the_token_take_nobodys_place(visitor: Visitor) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_REQUESTS + 16):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", visitor.port), 60))
            idle.sendall(b"GET /events HTTP/1.1\r\n")  # and nothing more
        assert visitor.get("/about")[0] == 200


def test_one_visitor_asks_a_bounded_number_of_things_at_once(visitor: Visitor) -> None:
    asked = f"GET /events HTTP/1.1\r\nHost: {visitor.host}\r\nCookie: {visitor.cookie}\r\n\r\n".encode()

    def refused() -> bool:
        status, _, body = visitor.get("/about")
        assert (status, body) in ((200, body), (503, f"{MOST_REQUESTS} requests are answered already.\n".encode()))
        return status == 503

    with ExitStack() as stack:
        for _ in range(MOST_REQUESTS):
            stack.enter_context(socket.create_connection(("127.0.0.1", visitor.port), 60)).sendall(asked)
        wait_for(refused)
    wait_for(lambda: not refused())


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/%2e%2e%2fapp.py",
        "/page/index.html",
        "/page/nothing.mjs",
        "/page/",
        "/reports/mnist_cnn",
        "/reports/mnist_cnn/../report.html",
        "/reports/mnist_cnn/latest/report.json",
        "/reports/other/latest/report.html",
    ],
)
def test_no_other_file_is_served(visitor: Visitor, path: str) -> None:
    assert visitor.get(path)[0] == 404


def test_it_listens_on_loopback_only(web_process: Any, visitor: Visitor) -> None:
    listening = psutil.Process(web_process.pid).connections("tcp")
    assert {one.laddr.ip for one in listening if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
