"""The table of CLAIMS.md is complete, and follows from the stored numbers."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEGINS = "<!-- claims -->\n"


@pytest.fixture(scope="module")
def claims():
    sys.path.insert(0, str(ROOT / "examples"))
    import claims

    yield claims
    sys.path.remove(str(ROOT / "examples"))


def test_the_table_is_what_the_numbers_say(claims):
    text = (ROOT / "examples" / "CLAIMS.md").read_text(encoding="utf-8")
    written = text.split(BEGINS)[1].split("<!-- end -->")[0]
    assert written == claims.table(claims.claims()), "run: python examples/claims.py"


def test_every_claim_has_a_script_a_number_and_a_verdict(claims):
    found = [claim for of in claims.claims().values() for claim in of]
    assert len(found) >= 60
    assert len({claim.sentence for claim in found}) == len(found)
    for claim in found:
        assert all(claim), claim
        assert (ROOT / "examples" / f"{claim.script}.py").exists(), claim
        assert any(character.isdigit() for character in claim.result), claim
    pictured = [claim for claim in found if (claims.FIGURES / f"{claim.script}.png").exists()]
    assert len(pictured) >= 40


def test_a_verdict_follows_from_its_conditions(claims):
    from claim_rows import HOLDS, NOT, PARTLY, claim

    met = {(True, True): HOLDS, (True, False): PARTLY, (False, False): NOT}
    for conditions, verdict in met.items():
        assert claim("", "", "", *conditions).verdict == verdict


def test_kept_numbers_are_short_and_exact_to_six_digits(claims):
    import numpy as np

    long, large = list(range(100)), np.zeros((20, 20))
    kept = claims.plain({"long": long, "large": large, ("a", "b"): np.float64(1 / 3)})
    assert kept == {"long": [0, 99], "a, b": 0.333333}
