"""Make the JSON Schema of ``report.json`` from the dataclasses: ``python -m pipelines.report.schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_type_hints

from pipelines import results
from pipelines.base.files import write_bytes
from pipelines.report.json_face import adapter

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "report-schema.json"


def json_schema() -> dict[str, Any]:
    """Make the schema (JSON Schema 2020-12, as pydantic writes it), with a description of every field."""
    schema = adapter().json_schema(mode="serialization")
    definitions = schema["$defs"]
    for name, definition in [*definitions.items(), ("Report", schema)]:
        definition.pop("title", None)
        hints = get_type_hints(getattr(results, name), include_extras=True)
        for field, content in definition.get("properties", {}).items():  # an enum has none
            content.pop("title", None)
            content["description"] = hints[field].__metadata__[0].text
    schema["properties"]["schema_version"]["const"] = results.SCHEMA_VERSION
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "report.json",
        "description": "Everything that one run of slipway learned. A value that was not measured is null, never zero.",
        **schema,
    }


def dumps() -> bytes:
    """Encode the schema as the bytes of ``docs/report-schema.json``."""
    return (json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    write_bytes(SCHEMA_FILE, dumps())
    print(SCHEMA_FILE)
