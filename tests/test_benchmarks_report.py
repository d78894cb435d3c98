"""From results to words: medians, ratios, goals, the model, and sections of documents."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.goals import goals, goals_table
from benchmarks.model import (
    CONTROL_CALLS,
    MIB,
    Account,
    Limits,
    Upload,
    Way,
    predict,
    predict_many,
)
from benchmarks.model_report import Check, checks, checks_table, model_text
from benchmarks.render import RenderError, readme_section, render, replace_section
from benchmarks.report import write_report
from benchmarks.results import CaseResult, EntryResult, Run, load, load_all, save
from benchmarks.table import case_table

INFINITE = Limits(math.inf, math.inf)


def entry(contender: str, *seconds: float, disk: str = "os", **facts: object) -> EntryResult:
    counts = {"sent_bytes": 600 * MIB, "requests": 150}
    runs = [Run(s, s, s / 2, 100 * MIB, s * 0.9, counts) for s in seconds]
    values = {"wire_bytes": 601 * MIB, "data_bytes": 600 * MIB} | facts
    return EntryResult(contender, disk, contender, ["a command"], runs=runs, **values)  # type: ignore[arg-type]


def case(name: str, *entries: EntryResult, target: str | None = "azurite335") -> CaseResult:
    machine = {"processor": "fast", "cores": 2}
    versions = {"azure-storage-blob": "12.0", "azcopy": "10.0", "azurite (older)": "3.35.0"}
    when = "2026-01-01T00:00:00+00:00"
    return CaseResult(name, f"The {name}", target, when, machine, versions, entries)


RESULTS = {
    "os-azurite335": case(
        "os-azurite335",
        entry("vhdtool", 3.0, 2.0, 4.0),
        entry("azcopy", 60.0, 57.0),
        entry("upload_blob", 129.0),
        entry("limit", 2.7),
    ),
    "os-strict": case("os-strict", entry("vhdtool", 10.5), entry("azcopy", 10.0), target="strict"),
    "inspect": case(
        "inspect",
        entry("inspect", 0.2),
        entry("imports", 0.1),
        entry("inspect", 0.4, disk="full-table"),
        target=None,
    ),
    "threads": case("threads", entry("vhdtool-8", 2.0), entry("vhdtool-32", 2.5)),
}


# Results


def test_results_are_kept_and_read_again(tmp_path: Path) -> None:
    wanted = RESULTS["os-azurite335"]
    path = save(wanted, tmp_path)
    found = load(path)
    assert [entry.seconds for entry in found.entries] == [e.seconds for e in wanted.entries]
    assert found.machine == wanted.machine
    assert save(found, tmp_path / "again").read_bytes() == path.read_bytes()
    assert list(load_all(tmp_path)) == ["os-azurite335"]


def test_medians_and_spreads() -> None:
    found = entry("vhdtool", 3.0, 2.0, 10.0)
    assert found.seconds == 3.0
    assert found.spread == (2.0, 10.0)
    assert found.own_seconds == pytest.approx(2.7)
    assert found.cpu_seconds == 1.5
    assert found.peak_bytes == 100 * MIB
    assert found.count("requests") == 150
    assert found.count("nothing") is None


def test_a_contender_that_never_succeeded_has_no_time() -> None:
    assert entry("vhdtool").seconds == math.inf
    assert "inf" in case_table(case("x", entry("vhdtool"), entry("azcopy", 1.0)))


def test_ratios_are_to_ours_with_the_same_disk() -> None:
    text = case_table(
        case(
            "x",
            entry("vhdtool", 2.0),
            entry("vhdtool", 4.0, disk="huge"),
            entry("azcopy", 12.0),
            entry("azcopy", 12.0, disk="huge"),
        )
    )
    ratios = [line.split(" | ")[5] for line in text.splitlines()[2:]]
    assert ratios == ["1.00", "1.00", "6.00", "3.00"]


# Goals


def test_goals_are_ratios_of_medians() -> None:
    found = {goal.what: goal for goal in goals(RESULTS)}
    faster = found["OS disk, Azurite 3.35.0: as fast as azcopy"]
    assert faster.found == pytest.approx(19.5)
    assert faster.reached
    assert found["OS disk, Azurite 3.35.0: as fast as upload_blob"].reached is False
    assert found["os-azurite335: time by the limit's"].found == pytest.approx(3 / 2.7)
    assert found["os-azurite335: bytes on the wire, by the disk's data"].reached
    assert found["emulated limits: OS disk, by bytes / 60 MiB/s"].found == pytest.approx(1.05)
    assert found["emulated limits, os: as fast as azcopy"].reached is False
    assert found["throughput of 32 workers by that of 8"].found == pytest.approx(0.8)
    assert found["memory at 32 workers"].found == pytest.approx(104.8576)
    assert found["inspect os: by the imports alone"].found == pytest.approx(2)
    assert found["inspect full-table"].reached
    assert found["8 GiB of zeros: speed, by cat's"].reached is None


def test_goals_say_what_was_not_measured() -> None:
    text = goals_table(goals({}))
    assert "not measured" in text
    assert "yes" not in text


# The model


def test_the_slowest_bound_counts() -> None:
    way = Way(0.02)
    large = predict(Upload(600 * MIB, 150), Limits(), way)
    assert large.bound == "the blob's bytes/s"
    assert large.seconds == pytest.approx(10 + CONTROL_CALLS * 0.02)
    many = predict(Upload(16 * MIB, 5000, workers=32), Limits(), way)
    assert many.bound == "the blob's requests/s"
    assert many.seconds == pytest.approx(10 + CONTROL_CALLS * 0.02)
    alone = predict(Upload(16 * MIB, 1000, workers=1), Limits(), way)
    assert alone.bound == "latency"
    assert alone.seconds == pytest.approx(20 + CONTROL_CALLS * 0.02)
    narrow = predict(Upload(600 * MIB, 150), Limits(), Way(0, MIB))
    assert narrow.bound == "the way"
    assert narrow.seconds == pytest.approx(600)


def test_more_of_anything_takes_no_less_time() -> None:
    limits, way = Limits(), Way(0.05, 100 * MIB)
    base = predict(Upload(600 * MIB, 2000), limits, way).seconds
    assert predict(Upload(700 * MIB, 2000), limits, way).seconds >= base
    assert predict(Upload(600 * MIB, 4000), limits, way).seconds >= base
    assert predict(Upload(600 * MIB, 2000), limits, Way(0.1, 100 * MIB)).seconds >= base
    assert predict(Upload(600 * MIB, 2000, 16), limits, way).seconds <= base


def test_a_burst_is_saved_and_no_time_is_negative() -> None:
    limits = Limits(burst_seconds=0.25)
    assert predict(Upload(600 * MIB, 1), limits, Way(0)).seconds == pytest.approx(9.75)
    assert predict(Upload(512, 1), limits, Way(0), start_seconds=0.5).seconds == 0.5


def test_many_disks_share_the_way_and_the_account() -> None:
    disk = Upload(600 * MIB, 150)
    one = predict(disk, Limits(), Way(0)).seconds
    in_turn = predict_many(disk, 1000, 1, Limits(), Account(), Way(0))
    assert in_turn.seconds == pytest.approx(1000 * one)
    together = predict_many(disk, 1000, 10, Limits(), Account(), Way(0))
    assert together.seconds == pytest.approx(100 * one)
    crowded = predict_many(disk, 1000, 1000, Limits(), Account(), Way(0))
    assert crowded.bound == "the account's bytes/s"
    narrow = predict_many(disk, 1000, 10, Limits(), Account(), Way(0, 100 * MIB))
    assert narrow.bound == "the way"
    assert narrow.seconds == pytest.approx(600 * 1000 / 100)


def test_emulated_runs_of_ours_are_checked() -> None:
    (check,) = checks(RESULTS)
    assert isinstance(check, Check)
    # A quarter of a second is saved, eight calls take 23 ms each, a tenth is start-up.
    assert check.predicted.seconds == pytest.approx(10 - 0.25 + 8 * 0.023 + 1.05)
    assert check.measured == 10.5
    assert f"{check.error:+.0%}" in checks_table([check])


def test_the_models_text_needs_no_results() -> None:
    assert "no emulated run has been measured" in model_text({})
    assert "4 TiB, full" in model_text({})


# Documents


def test_a_report_is_written_from_the_files(tmp_path: Path) -> None:
    for result in RESULTS.values():
        save(result, tmp_path)

    written = write_report(tmp_path)

    report = (tmp_path / "README.md").read_text()
    assert {path.name for path in written} == {
        *("README.md", "overview.svg", "threads.svg", "inspection.svg")
    }
    for path in written[1:]:
        assert path.read_text().rstrip().endswith("</svg>")
        assert f"]({path.name})" in report
    for result in RESULTS.values():
        assert result.title in report
    assert [path.read_text() for path in write_report(tmp_path)] == [
        path.read_text() for path in written
    ]


def test_the_readmes_section_shows_times_and_ratios() -> None:
    text = readme_section(RESULTS, "results/overview.svg", "benchmarks/README.md")
    row = next(line for line in text.splitlines() if "30 GiB OS disk, 1 GB" in line)
    assert row.split(" | ")[1:] == ["3", "58.5 (19.5 ×)", "129 (43 ×)", "2.7 |"]
    assert "](results/overview.svg)" in text
    assert "AzCopy 10.0" in text


def test_a_section_is_added_and_replaced() -> None:
    added = replace_section("# Title\n", "x", "first")
    assert added == "# Title\n\n<!-- x:start -->\n\nfirst\n\n<!-- x:end -->\n"
    assert replace_section(added + "after\n", "x", "second") == (
        "# Title\n\n<!-- x:start -->\n\nsecond\n\n<!-- x:end -->\nafter\n"
    )
    assert replace_section("", "x", "only").startswith("<!-- x:start -->")


@pytest.mark.parametrize(
    "document",
    ["<!-- x:start -->", "<!-- x:end -->", "<!-- x:end --><!-- x:start -->"],
)
def test_torn_markers_are_refused(document: str) -> None:
    with pytest.raises(RenderError, match="once each"):
        replace_section(document, "x", "text")


def test_rendering_needs_results(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="make bench"):
        render(tmp_path, tmp_path / "README.md", tmp_path / "method.md")


def test_rendering_writes_both_documents(tmp_path: Path) -> None:
    results, readme, method = tmp_path / "results", tmp_path / "README.md", tmp_path / "method.md"
    for result in RESULTS.values():
        save(result, results)
    readme.write_text("# Project\n")
    method.write_text("# Method\n\n<!-- model:start --><!-- model:end -->\n")

    assert render(results, readme, method) == [readme, method]

    assert "](results/overview.svg)" in readme.read_text()
    assert "](method.md)" in readme.read_text()
    assert "4 TiB, full" in method.read_text()
