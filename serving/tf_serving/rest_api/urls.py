"""The URLs of the REST API, to the letter of tensorflow/serving (model_servers/http_rest_api_util.cc)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from serving.tf_serving.base.errors import ServingError, invalid

_MODEL = r"/v1/models{name}(?:(?:/versions/(?P<version>\d+))|(?:/labels/(?P<label>[^/:]+)))?"
_PATTERNS = {
    "POST": re.compile(
        _MODEL.format(name="/(?P<name>[^/:]+)") + ":(?P<method>classify|regress|predict)", re.IGNORECASE | re.ASCII
    ),
    "GET": re.compile(
        _MODEL.format(name="(?:/(?P<name>[^/:]+))?") + r"(?:/(?P<method>metadata))?", re.IGNORECASE | re.ASCII
    ),
}
METHODS = {"POST": ("classify", "regress", "predict"), "GET": ("metadata", "status")}
_MAX_INT64 = 2**63 - 1
# RFC 3986: what a URI may have in it, and in front, where a proxy was meant, the server's own name (RFC 9112, 3.2.2).
_TARGET = re.compile(
    r"(?:https?://[^/?#]*+)?+((?:[a-z0-9._~!$&'()*+,;=:@/?#-]++|%[0-9a-f]{2})*+)", re.IGNORECASE | re.ASCII
)


class VersionError(ServingError):
    """A version beyond 64 bits. The answer has no body: that server returns before it writes one."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a URL asks for: ``method`` is predict, classify, regress, status or metadata."""

    method: str
    model: str
    version: int | None
    label: str | None


def target(sent: str) -> str | None:
    """Path and query of a request's first line, without scheme and server; None if it is no URI."""
    match = _TARGET.fullmatch(sent)
    return match.group(1) if match else None


def route(verb: str, path: str) -> Route | None:
    """What a request asks for; ``path`` is as sent, with its query. None if it is none of this API's.

    Raises:
        ServingError: INVALID_ARGUMENT, the path begins with /v1/ but is malformed.
    """
    if not path.lower().startswith("/v1/"):
        return None
    match = _PATTERNS[verb].fullmatch(path) if verb in _PATTERNS else None
    if match is None:
        raise invalid(f"Malformed request: {verb} {path}")
    found = match.groupdict()
    digits = (found["version"] or "").lstrip("0")
    version = int(digits[:20] or "0") if found["version"] else None  # int() refuses more than 4,300 digits
    if version is not None and version > _MAX_INT64:
        raise VersionError("INVALID_ARGUMENT", f"Failed to convert version: {found['version']} to numeric.")
    method = found["method"] or "status"
    if verb == "GET" and method != "metadata":
        method = "status"  # the expression ignores case, the comparison after it does not
    if method not in METHODS[verb]:
        raise invalid(f"Malformed request: {verb} {path}")
    if not found["name"]:
        raise invalid("Missing model name in request.")
    return Route(method, unquote(found["name"]), version, unquote(found["label"]) if found["label"] else None)
