"""The description of the REST API: it is OpenAPI, the server answers as it says, and it has every path there is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import schemathesis

import serving.tf_serving
from serving.tf_serving.base.errors import CODES, HTTP_STATUS
from serving.tf_serving.rest_api.urls import route
from serving.tf_serving.settings.monitoring import DEFAULT_PATH

FUZZ = Path(__file__).parents[4] / "benchmarks" / "tf_serving" / "fuzz_openapi.py"
FILE = Path(serving.tf_serving.__file__).with_name("openapi.json")
DESCRIPTION = json.loads(FILE.read_text())
OPERATIONS = [
    (path, verb, operation)
    for path, item in DESCRIPTION["paths"].items()
    for verb, operation in item.items()
    if verb != "parameters"
]


def test_it_is_openapi():
    schemathesis.openapi.from_dict(DESCRIPTION).validate()
    assert DESCRIPTION["openapi"].startswith("3.1.")


def test_every_path_of_the_grammar_is_there_and_no_other():
    found = set()
    for path, verb, operation in OPERATIONS:
        if path == DEFAULT_PATH:
            continue
        asked = route(verb.upper(), path.format(model="m", version=7, label="l"))
        assert asked is not None
        assert operation["operationId"].startswith(asked.method)
        found.add((asked.method, asked.version, asked.label))
    kinds = ((None, None), (7, None), (None, "l"))
    assert found == {
        (method, *kind) for method in ("predict", "classify", "regress", "status", "metadata") for kind in kinds
    }


def test_every_status_of_an_error_is_there():
    inference = DESCRIPTION["paths"]["/v1/models/{model}:predict"]["post"]["responses"]
    assert {str(HTTP_STATUS[code]) for code in CODES} - set(inference) == {"401", "403"}  # there are no rights here
    schema = DESCRIPTION["components"]["schemas"]["ModelStatus"]["properties"]["model_version_status"]["items"]
    assert tuple(schema["properties"]["status"]["properties"]["error_code"]["enum"]) == CODES


@pytest.mark.parametrize("path", [path for path, verb, _ in OPERATIONS if verb == "post" and "label" not in path])
def test_the_examples_work(server, path):
    example = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
    status, body = server.json(path.format(model="half_plus_two", version=123), json.dumps(example))
    assert (status, "error" in body) == (200, False)


def fuzzed(url: str, *words: str) -> tuple[int, dict]:
    command = [sys.executable, str(FUZZ), url, "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr[-3000:]
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_a_share_of_what_can_be_made_of_it(server):
    code, found = fuzzed(server.url, "--examples", "10", "--seed", "3")
    assert (code, found["improper"]) == (0, [])
    assert found["requests"] > 220
    assert {"GET 200", "GET 404", "POST 200", "POST 400", "POST 404"} <= set(found["outcomes"])
    assert "Unexpected error" not in server.process.log.read_text()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda schemas, _: schemas["Error"].update(required=["message"]), "Response violates schema"),
        (lambda _, responses: responses["NotFound"].update(content={"text/html": {}}), "Undocumented Content-Type"),
    ],
)
def test_an_answer_that_is_not_as_described_is_told(server, tmp_path, wrong, told):
    document = json.loads(FILE.read_text())
    wrong(document["components"]["schemas"], document["components"]["responses"])
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    code, found = fuzzed(server.url, "--examples", "2", "--description", str(tmp_path / "wrong.json"))
    assert code == 1
    assert told in found["improper"][0]
