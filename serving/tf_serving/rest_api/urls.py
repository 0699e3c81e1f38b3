"""Parse the URLs of the REST API exactly as tensorflow/serving does (model_servers/http_rest_api_util.cc)."""

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
# The characters of a URI (RFC 3986); a request meant for a proxy has scheme and server in front (RFC 9112, 3.2.2).
_TARGET = re.compile(
    r"(?:https?://[^/?#]*+)?+((?:[a-z0-9._~!$&'()*+,;=:@/?#-]++|%[0-9a-f]{2})*+)", re.IGNORECASE | re.ASCII
)


class VersionError(ServingError):
    """A version needs more than 64 bits. The answer has no body: tensorflow/serving returns before writing one."""


@dataclass(frozen=True, slots=True)
class Route:
    """A parsed URL; ``method`` is predict, classify, regress, status or metadata."""

    method: str
    model: str
    version: int | None
    label: str | None


def target(sent: str) -> str | None:
    """Return path and query of a request target, without scheme and server; None if it is not a URI."""
    match = _TARGET.fullmatch(sent)
    return match.group(1) if match else None


def route(verb: str, path: str) -> Route | None:
    """Parse a request's ``path``, as sent with its query; None if it is not part of this API.

    Raises:
        ServingError: INVALID_ARGUMENT if the path begins with /v1/ but is malformed.
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
        method = "status"  # the pattern ignores case, but tensorflow/serving compares the method exactly
    if method not in METHODS[verb]:
        raise invalid(f"Malformed request: {verb} {path}")
    if not found["name"]:
        raise invalid("Missing model name in request.")
    return Route(method, unquote(found["name"]), version, unquote(found["label"]) if found["label"] else None)
