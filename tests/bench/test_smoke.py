"""The measurements run; what they measure is not looked at here."""

import json
from pathlib import Path

from click.testing import CliRunner

from tests.bench.__main__ import CASES, main


def test_every_case_reports_a_complete_result(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["--quick", "--cache", str(tmp_path), "--json", "-"])

    assert outcome.exit_code == 0, outcome.output
    results = json.loads(outcome.stdout)["results"]
    assert {result["case"] for result in results} == set(CASES)
    for result in results:
        assert result["measured"] > 0
        assert result["rounds"]
        assert isinstance(result["met"], bool)
        assert (result["ratio"] is None) == (result["reference"] is None)


def test_an_unknown_case_is_refused() -> None:
    outcome = CliRunner().invoke(main, ["--only", "nothing"])

    assert outcome.exit_code == 2
    assert "'nothing' is not one of" in outcome.output
