"""List section A: the grammar of the URLs, and the headers of every answer."""

from __future__ import annotations

from urllib.parse import quote

from serving.conformance.case import Case, Rest, case
from serving.conformance.write import LABEL, ODD_NAME

M = "/v1/models/half_plus_two"
ROWS = '{"instances":[1.0,2.0]}'
ANSWER = {"predictions": [2.5, 3.0]}
_ODD = quote(ODD_NAME, safe="")
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}
_ORIGIN = {"Origin": "https://example.org"}


def _malformed(method: str, path: str) -> Rest:
    body = ROWS if method in ("POST", "PUT") else None
    return Rest(path, body, 400, error=f"Malformed request: {method} {path}", method=method)


CASES: tuple[Case, ...] = (
    case("A1", _malformed("GET", "/v1/foo")),
    case("A2", _malformed("POST", "/v1/foo")),
    case("A3", Rest("/v1/models", status=400, error="Missing model name in request.")),
    case("A4", _malformed("POST", "/v1/models")),
    case("A5", _malformed("GET", "/v1/models/debug/model_name")),
    case("A6", _malformed("GET", "/v1/models/foo:predict")),
    case("A8", _malformed("POST", "/v1/models/foo/versions/HELLO:regress")),
    case("A9", Rest("/v1/models/foo/versions/18446744073709551615:regress", ROWS, 400, raw=b"")),
    case("A10", _malformed("POST", "/v1/models/foo/metadata")),
    case(
        "A13",
        Rest(f"/v1/models/{_ODD}:predict", ROWS, answer=ANSWER),
        Rest(f"/v1/models/{_ODD}/labels/{_ODD}:predict", ROWS, answer=ANSWER),
        Rest("/v1/models/%22enc%22:predict", ROWS, 404, error='Servable not found for request: Latest("enc")'),
    ),
    case(
        "A14",
        *(
            Rest(path, body, 404, content_type=None, parts=("<",))
            for path in ("/statuspage", "/index", "/", "/v2/models/m", "/v1")
            for body in (None, ROWS)
        ),
    ),
    case(
        "A15",
        _malformed("PUT", M),
        _malformed("DELETE", M),
        Rest(M, method="HEAD", status=400, raw=b""),
    ),
    case("A16", _malformed("POST", f"{M}:predict?x=1")),
    case(
        "A17",
        Rest("/V1/MODELS/half_plus_two:predict", ROWS, answer=ANSWER),
        _malformed("POST", "/V1/Models/half_plus_two:Predict"),
    ),
    case(
        "A18",
        Rest(f"{M}:predict", ROWS, answer=ANSWER, headers={"Content-Type": "text/plain"}),
        Rest(M),
        Rest(f"{M}/metadata"),
        Rest(f"{M}:predict", "no json", 400),
    ),
    case(
        "A19",
        Rest(M, method="OPTIONS", headers=_ORIGIN, content_type=None, answer_headers=_CORS),
        Rest(M, method="OPTIONS", status=400),
        Rest(f"{M}:predict", ROWS, answer=ANSWER, headers=_ORIGIN),
        Rest(f"{M}/labels/{LABEL}:predict", ROWS, answer=ANSWER, headers=_ORIGIN),
    ),
)
