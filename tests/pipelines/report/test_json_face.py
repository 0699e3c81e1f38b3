"""The JSON and its schema: written, read back, and refused where it is not a report."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipelines.base.errors import SlipwayError, UserError
from pipelines.report import json_face, schema, write_all
from pipelines.results import SCHEMA_VERSION, Report


def test_write_all_leaves_both_faces_and_nothing_else(any_report: Report, tmp_path: Path) -> None:
    paths = write_all(any_report, tmp_path / "new" / "folder")
    assert set(paths) == {"json", "html"}
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(paths.values())


def test_the_rules_and_the_package_import_no_face() -> None:
    """A run needs the recommendation long before a page, so plotly and the like are imported only to write a face."""
    code = (
        "import sys, pipelines.report, pipelines.report.recommend; "
        "print(sorted({'plotly', 'jinja2', 'pydantic', 'rich', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_round_trip(any_report: Report, tmp_path: Path) -> None:
    json_face.write(any_report, tmp_path / "report.json")
    assert json_face.read(tmp_path / "report.json") == any_report


def test_a_number_that_is_none_is_refused_by_name_and_the_old_file_stays(full_report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    broken = replace(full_report, rows=(replace(full_report.rows[0], cold_start_s=float("nan")),))
    with pytest.raises(SlipwayError, match=r"report\.rows\.0\.cold_start_s = nan"):
        json_face.write(broken, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_undecodable_name_does_not_cost_the_report(full_report: Report, tmp_path: Path) -> None:
    odd = replace(full_report.artifacts[0], folder="/tmp/\udc80")  # noqa: S108
    write_all(replace(full_report, artifacts=(odd,)), tmp_path)
    assert json_face.read(tmp_path / "report.json").artifacts[0].folder == "/tmp/?"  # noqa: S108


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b'{"schema_version": 1', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[1, 2]", "not a report"),
        (b'{"name": "something else"}', "not a report"),
        (b'{"schema_version": 99, "artifacts": [], "rows": []}', "newer slipway"),
        (b'{"schema_version": 0, "artifacts": [], "rows": []}', "older slipway"),
        (b'{"schema_version": %d, "artifacts": [], "rows": []}' % SCHEMA_VERSION, "does not fit its schema"),
        (b'{"schema_version": %d, "artifacts": [], "rows": [], "wall_s": NaN}' % SCHEMA_VERSION, "wall_s = nan"),
    ],
)
def test_what_is_no_report_is_refused_in_one_line(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        json_face.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        json_face.read(tmp_path / "absent.json")


def test_a_wrong_type_is_named(full_report: Report, tmp_path: Path) -> None:
    data = asdict(full_report)
    data["rows"][2]["cold_start_s"] = "fast"
    (tmp_path / "report.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"rows\.2\.cold_start_s"):
        json_face.read(tmp_path / "report.json")


def test_the_committed_schema_is_current() -> None:
    assert schema.SCHEMA_FILE.read_bytes() == schema.dumps(), "run: python -m pipelines.report.schema"


def test_every_field_is_described() -> None:
    described = schema.json_schema()
    kinds = [described, *described["$defs"].values()]
    texts = [content["description"] for kind in kinds for content in kind.get("properties", {}).values()]
    assert len(texts) > 150
    assert all(text.endswith(".") for text in texts)


def test_instances_fit_the_schema(any_report: Report) -> None:
    """Every property is known to the schema, and every required one is there."""
    described = schema.json_schema()
    definitions = described["$defs"]

    def check(value: object, shape: dict[str, object], where: str) -> None:
        options = shape.get("anyOf", [shape])
        assert isinstance(options, list)
        if value is None:
            assert {"type": "null"} in options, where
            return
        shape = next(option for option in options if option.get("type") != "null")
        if "$ref" in shape:
            shape = definitions[str(shape["$ref"]).rsplit("/", 1)[1]]
        if "enum" in shape:
            assert value in shape["enum"], where  # type: ignore[operator]
        kinds: dict[str, type | tuple[type, ...]] = {
            "object": dict,
            "array": (list, tuple),
            "string": str,
            "integer": int,
            "number": (int, float),
            "boolean": bool,
        }
        assert isinstance(value, kinds[str(shape["type"])]), where
        if isinstance(value, list | tuple):
            for index, item in enumerate(value):
                of_item = shape["prefixItems"][index] if "prefixItems" in shape else shape["items"]  # type: ignore[index]
                check(item, of_item, f"{where}.{index}")  # type: ignore[arg-type]
        elif isinstance(value, dict) and "properties" in shape:
            properties = shape["properties"]
            assert isinstance(properties, dict)
            assert set(value) == set(properties), where
            for name, item in value.items():
                check(item, properties[name], f"{where}.{name}")

    check(json.loads(json_face.dumps(any_report)), described, "report")
    assert described["properties"]["schema_version"]["const"] == SCHEMA_VERSION
