"""Sends requests that schemathesis makes from the API's description, and checks the answers.

    python benchmarks/tf_serving/fuzz_openapi.py http://127.0.0.1:8501 [--examples 100] [--seed 7] [--json]

The server serves the models of ``slipway conform --write-models``. For each operation there are this many requests
that fit the description, with existing models and signatures, and as many that do not fit it. Exit code 1 if an
answer has a status, a content type, a header or a body that the description does not have, if it is an error of the
server, or if an error is anything else than ``{"error": "..."}``.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import serving.tf_serving

DESCRIPTION = Path(serving.tf_serving.__file__).with_name("openapi.json")
LIMIT_S = 30.0
MODELS = ("half_plus_two", "half_plus_two_tf1", "half_plus_two_2_versions", "half_plus_three", "echo", "counter")
SIGNATURES = ("", "serving_default", "regress_x_to_y", "classify_x_to_y", "four", "texts", "float", "int32", "half")
UNIMPLEMENTED = 501
"""The only server error that a request alone can cause: a dtype that JSON cannot carry."""
MAX_VERSION = 2**63 - 1
_TOKENS = re.compile(rb"[:\[, ]-?(?:NaN|Infinity)[,\]} ]")


def main() -> int:
    """Fuzzes, prints what happened, returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--examples", type=int, default=100, help="requests of each kind for each operation")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--description", type=Path, default=DESCRIPTION, help="another file than the server's own")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes, improper = fuzz(options.url, options.examples, options.seed, options.description)
    found = {"requests": sum(outcomes.values()), "outcomes": dict(outcomes.most_common()), "improper": improper[:5]}
    print(json.dumps(found) if options.json else "\n".join(f"{key}: {value}" for key, value in found.items()))
    return int(bool(improper))


def fuzz(url: str, examples: int, first_seed: int, description: Path = DESCRIPTION) -> tuple[Counter[str], list[str]]:
    """Returns how often each answer came, and the improper ones."""
    outcomes: Counter[str] = Counter()
    improper: list[str] = []
    described = _read(description)
    modes = schemathesis.GenerationMode
    with requests.Session() as session:
        session.trust_env = False  # a proxy is for the outside world
        for kind, document in ((modes.POSITIVE, _of_what_is_there(described)), (modes.NEGATIVE, described)):
            for found in schemathesis.openapi.from_dict(document).get_all_operations():
                operation = found.ok()
                if kind is modes.NEGATIVE and operation.label.endswith("/metrics"):
                    continue  # it has no invalid request
                _run(operation.as_strategy(kind), url, session, (examples, first_seed), outcomes, improper)
    return outcomes, improper


def _run(
    cases: Any,
    url: str,
    session: requests.Session,
    how: tuple[int, int],
    outcomes: Counter[str],
    improper: list[str],
) -> None:
    @seed(how[1])
    @settings(
        max_examples=how[0],
        deadline=None,
        database=None,
        phases=[Phase.generate],  # every improper answer is kept: there is nothing to make smaller
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def ask(case: Any) -> None:
        try:
            response = case.call(base_url=url, session=session, timeout=LIMIT_S)
        except requests.RequestException as error:
            outcomes["no answer"] += 1
            improper.append(f"{case.method} {case.formatted_path}: {type(error).__name__}: {error}")
            return
        outcomes[f"{case.operation.label.split()[0]} {response.status_code}"] += 1
        if _is_beyond_64_bits(case) and not response.content:
            return  # documented: that server returns before it writes a body
        # The validator of schemathesis takes the API's NaN and Infinity for null.
        left_out = [response_schema_conformance] if _TOKENS.search(response.content) else []
        try:
            case.validate_response(response, checks=CHECKS, excluded_checks=left_out)
        except FailureGroup as failures:
            improper.append(str(failures)[:1500])

    ask()


def error_body(_context: Any, response: Any, _case: Any) -> None:
    """Checks that an error is an object with one text; the pages of 413 and 417 are checked by their content type."""
    if response.status_code >= requests.codes.bad_request and "json" in response.headers["content-type"][0]:
        document = json.loads(response.content.decode("utf-8", "surrogateescape"))
        assert set(document) == {"error"}
        assert isinstance(document["error"], str)


def server_error(context: Any, response: Any, case: Any) -> bool | None:
    """Checks for server errors as schemathesis does, except for the documented one."""
    return None if response.status_code == UNIMPLEMENTED else not_a_server_error(context, response, case)


CHECKS = [
    server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    error_body,
]


def _is_beyond_64_bits(case: Any) -> bool:
    version = str(case.path_parameters.get("version", ""))
    return version.isdecimal() and len(version) < 5000 and int(version[:4000]) > MAX_VERSION


def _read(description: Path) -> dict[str, Any]:
    document = json.loads(description.read_text())
    # schemathesis 4.32 makes draft 4's "items" of "prefixItems", and then refuses its own result.
    pair = document["components"]["schemas"]["LabelAndScore"]
    pair["items"] = {"anyOf": pair.pop("prefixItems")}
    return document


def _of_what_is_there(described: dict[str, Any]) -> dict[str, Any]:
    """Limits the description to the server's models, versions, labels and signatures; bodies are unchanged."""
    document = copy.deepcopy(described)
    parameters = document["components"]["parameters"]
    for name, values in (("model", MODELS), ("version", (1, 123, 124)), ("label", ("MODEL_LABEL", "none"))):
        parameters[name]["schema"] = {"enum": list(values)}
    parameters["encoding"]["schema"] = {"const": "identity"}  # schemathesis does not compress
    document["components"]["schemas"]["Signature"] = {"enum": list(SIGNATURES)}
    return document


if __name__ == "__main__":
    sys.exit(main())
