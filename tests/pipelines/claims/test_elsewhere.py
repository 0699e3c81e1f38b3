"""What others measured: of known claims only, in both languages, each with a source."""

from __future__ import annotations

from pipelines.claims import CLAIMS
from pipelines.claims.elsewhere import elsewhere


def test_every_finding_is_of_a_claim_and_has_a_sign_a_source_and_both_languages() -> None:
    found = elsewhere()
    assert found
    assert set(found) <= set(CLAIMS)
    for rows in found.values():
        for one in rows:
            assert one.sign in ("supports", "contradicts", "depends")
            assert one.source
            assert one.text.en.isascii()
            assert not one.text.zh.isascii()
            assert one.text.en != one.text.zh
