"""Versions of an artifact in a folder that a server watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.artifacts.release import KEPT, release, versions
from pipelines.base.errors import SlipwayError


def payload(folder: Path, content: str) -> Path:
    (folder / "1").mkdir(parents=True, exist_ok=True)
    (folder / "1" / "saved_model.pb").write_text(content)
    return folder


def test_only_a_change_is_a_new_version(tmp_path: Path) -> None:
    base = tmp_path / "base"
    numbers = [release(payload(tmp_path / "payload", content), base) for content in ("a", "a", "b", "b", "a")]
    assert numbers == [1, 1, 2, 2, 3]
    assert [(place.name, (place / "saved_model.pb").read_text()) for place in versions(base)] == [
        ("1", "a"),
        ("2", "b"),
        ("3", "a"),
    ]


def test_the_newest_are_kept_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    base = tmp_path / "base"
    for number in range(1, 12):
        assert release(payload(tmp_path / "payload", str(number)), base) == number
    assert [place.name for place in versions(base)] == ["9", "10", "11"]
    assert len(versions(base)) == KEPT
    assert [place.name for place in base.iterdir() if not place.name.isdecimal()] == []


def test_a_damaged_version_is_replaced_by_the_next(tmp_path: Path) -> None:
    base = tmp_path / "base"
    assert release(payload(tmp_path / "payload", "a"), base) == 1
    (base / "1" / "saved_model.pb").write_text("damaged")
    assert release(tmp_path / "payload", base) == 2


def test_a_payload_without_versions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "payload").mkdir()
    with pytest.raises(SlipwayError, match=r"numbered version folders can be released\. Received"):
        release(tmp_path / "payload", tmp_path / "base")


def test_package_releases_what_has_versions(cli, trained) -> None:  # type: ignore[no-untyped-def]
    words = ("package", "mnist_cnn", "tf-serving:fp32", "onnxruntime:pytorch", "--release")
    assert cli.json(*words)["released"] == {"tf-serving:fp32": 1}
    assert cli.json(*words)["released"] == {"tf-serving:fp32": 1}
    folder = cli.workspace / "artifacts" / "mnist_cnn" / "tf-serving" / "releases" / "fp32" / "1"
    assert (folder / "saved_model.pb").exists()
