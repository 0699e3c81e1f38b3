"""The rules for giving a version a label."""

from __future__ import annotations

import pytest

from serving.tf_serving.base.errors import ServingError
from serving.tf_serving.settings.models import ModelConfig
from serving.tf_serving.versions.labels import LabelRules, assign


@pytest.mark.parametrize(
    ("rules", "version", "allowed"),
    [
        (LabelRules(), 1, True),
        (LabelRules(), 2, False),
        (LabelRules(allow_new=True), 2, False),
        (LabelRules(allow_any=True), 2, True),
    ],
)
def test_labels_that_are_moved(tmp_path, rules, version, allowed):
    models = (ModelConfig("m", tmp_path, labels={"stable": version}),)
    arguments = (models, {"m": {"stable": 3}}, lambda _, number: number == 1, rules)
    if allowed:
        assert assign(*arguments) == {"m": {"stable": version}}
    else:
        with pytest.raises(ServingError, match="Request to assign label to version 2 of model m, which is not"):
            assign(*arguments)


def test_new_labels(tmp_path):
    models = (ModelConfig("m", tmp_path, labels={"next": 7}),)
    assert assign(models, {}, lambda *_: False, LabelRules(allow_new=True)) == {"m": {"next": 7}}
    with pytest.raises(ServingError, match="version 7 of model m"):
        assign(models, {}, lambda *_: False, LabelRules())
