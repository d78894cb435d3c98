"""The long runs of tests/soak, a few points of each; ``python -m tests.soak`` runs them whole."""

from __future__ import annotations

from pathlib import Path

from tests.soak.faults import run_faults
from tests.soak.kills import run_kills

KILLS = 8
KILLS_AGAINST_AZURITE = 3
UPLOADS = 60


def test_killed_anywhere_an_upload_loses_nothing_and_sends_little_again(tmp_path: Path) -> None:
    report = run_kills(tmp_path, 11, KILLS + KILLS_AGAINST_AZURITE, KILLS_AGAINST_AZURITE)
    assert not report.problems
    assert sum(report.figures["kill points by kind of disk"].values()) == KILLS
    assert sum(report.figures["kill points against Azurite"].values()) == KILLS_AGAINST_AZURITE


def test_whatever_goes_wrong_an_upload_claims_no_more_than_is_true(tmp_path: Path) -> None:
    report = run_faults(tmp_path, 12, UPLOADS)
    assert not report.problems
    assert sum(report.figures["faults injected"].values()) > UPLOADS
