"""`vhdtool inspect` as people and scripts see it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.build_vhd import Recipe, child_of, footer_of, place, write
from tests.support.disks import SAMPLE_DISKS, unpack
from tests.test_inspection_json import CHECK
from vhdtools.cli import main
from vhdtools.cli.formatting import share_text
from vhdtools.errors import UsageError
from vhdtools.inspection import inspect
from vhdtools.inspection.disk_map import map_disk
from vhdtools.inspection.kinds import CATALOGUE
from vhdtools.layout import DiskType, build_footer

WINDOWS = {"creator_application": b"win "}
DYNAMIC = Recipe("A" * 9 + "-" * 7, footer=WINDOWS)
FIXED = Recipe("A0", disk_type=DiskType.FIXED, footer=WINDOWS)
PNG = b"\x89PNG\r\n\x1a\n"


def run(*arguments: object, color: bool = False, **options: object) -> Result:
    return CliRunner().invoke(
        main,
        ["inspect", *map(str, arguments)],
        color=color,
        env={"NO_COLOR": None, "AZURE_STORAGE_CONNECTION_STRING": None},
    )


def test_a_summary_comes_first(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DYNAMIC)
    result = run(path)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == str(path)
    assert "dynamic VHD by Windows, 8 KiB (8,192 bytes)" in lines[1]
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert [heading.split("  ")[0] for heading in headings if heading[0].isupper()] == [
        "Findings",
        "Azure requires",
        "Disk",
        "Footer (at the end)",
        "Dynamic disk header",
    ]


def test_findings_say_what_to_do(tmp_path: Path) -> None:
    path = place(tmp_path / "a disk.vhd", Recipe("A" * 8, end_size=0, footer=WINDOWS))
    result = run(path)
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "warning end-footer-missing" in text
    assert f"To do: `vhdtool repair '{path}' --write`" in text


@pytest.mark.parametrize(
    ("content", "code"), [(b"", "empty-file"), (b"vhdxfile" + bytes(600), "not-a-vhd")]
)
def test_errors_exit_with_1(content: bytes, code: str, tmp_path: Path) -> None:
    result = run(write(tmp_path / "disk.vhd", content))
    assert result.exit_code == 1
    assert code in result.output


def test_a_missing_file_exits_with_1(tmp_path: Path) -> None:
    result = run(tmp_path / "missing.vhd")
    assert result.exit_code == 1
    assert "There is no such file." in result.output


@pytest.mark.parametrize("name", sorted(SAMPLE_DISKS))
def test_every_sample_disk_is_shown(name: str, tmp_path: Path) -> None:
    path = unpack(name, tmp_path)
    result = run(path)
    assert result.exit_code == (1 if SAMPLE_DISKS[name].expect == "error" else 0)
    assert result.output.startswith(f"{path}\n")
    assert all(line.isprintable() for line in result.output.split("\n"))
    shown = re.findall(r"^  (?:error|warning|info) +(\S+)", result.output, re.MULTILINE)
    findings = inspect(path).findings
    assert shown == [finding.code for finding in findings]
    assert set(shown) <= set(CATALOGUE)
    for finding in findings:
        assert " ".join(finding.message.split())[1:] in " ".join(result.output.split())


def test_json_of_one_disk_is_an_object(tmp_path: Path) -> None:
    result = run("--json", place(tmp_path / "disk.vhd", DYNAMIC))
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    CHECK.validate(document)
    assert document["disk_type"] == "dynamic"


def test_json_of_several_disks_is_an_array(tmp_path: Path) -> None:
    good = place(tmp_path / "disk.vhd", DYNAMIC)
    missing = tmp_path / "missing.vhd"
    result = run("--json", good, missing, write(tmp_path / "other", b"QFI\xfb\0\0\0\3" + bytes(9)))
    assert result.exit_code == 1
    documents = json.loads(result.stdout)
    CHECK.validate(documents)
    assert [document["path"] for document in documents][:2] == [str(good), str(missing)]
    assert [document["format"] for document in documents] == ["vhd", None, "qcow2"]


def test_several_disks_are_shown_one_after_the_other(tmp_path: Path) -> None:
    paths = [place(tmp_path / name, DYNAMIC) for name in ("a.vhd", "b.vhd")]
    result = run(*paths)
    assert [line for line in result.output.splitlines() if line in map(str, paths)] == [
        str(path) for path in paths
    ]


def test_deep_shows_the_content(tmp_path: Path) -> None:
    result = run("--deep", place(tmp_path / "disk.vhd", DYNAMIC))
    assert result.exit_code == 0
    assert "CRC-64" in result.output
    assert result.stderr == ""  # progress is for terminals


def test_deep_says_when_nothing_could_be_read(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A0", disk_type=DiskType.FIXED, lead=bytes(512)))
    result = run("--deep", path)
    assert result.exit_code == 0
    assert "The content was not read" in result.stderr


def test_parents_are_looked_for_where_one_says(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    place(tmp_path / "elsewhere" / "parent.vhd", DYNAMIC)
    path = place(tmp_path / "disk.vhd", child_of("parent.vhd", "-" * 16))
    assert run(path).exit_code == 1
    result = run(path, "--parent-dir", tmp_path / "elsewhere")
    assert result.exit_code == 0
    assert "Backing chain" in result.output


def test_size_rule_and_fixed_base_are_passed_on(tmp_path: Path) -> None:
    footer = {"creator_application": b"vpc ", "cylinders": 1, "heads": 1, "sectors_per_track": 4}
    path = place(tmp_path / "disk.vhd", Recipe(8 * "-", footer=footer))
    assert json.loads(run("--json", path).stdout)["virtual_size"] == 4 * 512
    assert (
        json.loads(run("--json", "--size-rule", "current", path).stdout)["virtual_size"] == 8 * 512
    )
    path = place(tmp_path / "long.vhd", Recipe("A0", disk_type=DiskType.FIXED, lead=bytes(512)))
    assert "fixed-base" in str(json.loads(run("--json", path).stdout)["azure"]["reasons"])
    document = json.loads(run("--json", "--fixed-base", "end", path).stdout)
    base = next(c for c in document["azure"]["checks"] if c["code"] == "fixed-base")
    assert base["uploaded"] is True


def test_colour_is_for_terminals(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DYNAMIC)
    assert "\x1b[" not in run(path).output
    assert "\x1b[" in run(path, color=True).output
    result = CliRunner().invoke(main, ["inspect", str(path)], color=True, env={"NO_COLOR": "1"})
    assert "\x1b[" not in result.output


def assert_harmless_on_a_terminal(*arguments: object) -> None:
    """Nothing but our own styles is there that is not printable.

    Asked with colors: without them, click takes escape sequences out of what it prints.
    """
    output = run(*arguments, color=True).output
    shown = re.sub(r"\x1b\[(0|1|3[0-7])m", "", output)
    assert all(character.isprintable() or character == "\n" for character in shown), shown


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    """Whatever a file says is shown escaped: names, creators, cookies."""
    evil = "\x1b[2J\x1b]0;owned\x07\u202e"
    recipe = child_of(
        "parent.vhd",
        "A-",
        parent_name=evil.encode("utf-16-be"),
        locators=[(b"W2ru", evil.encode("utf-16-le")), (b"\x1b[2J", b"x")],
        footer={"creator_application": b"\x1b[2J", "creator_host_os": b"\x07\x08\x1b["},
        copy={"cookie": b"\x1b[31mxxx"},
    )
    path = place(tmp_path / "disk.vhd", recipe)
    for arguments in ([path], ["--hex", "footer", path], ["--hex", "header", path]):
        assert_harmless_on_a_terminal(*arguments)


def test_a_file_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = place(tmp_path / "\x1b[2Jdisk.vhd", Recipe("A-", end_size=0))
    assert_harmless_on_a_terminal(path)


def test_a_map_is_drawn(tmp_path: Path) -> None:
    content = 32 * "A" + 64 * "-" + 32 * "B"
    result = run("--map", place(tmp_path / "disk.vhd", Recipe(content, block_size=4096)))
    assert result.exit_code == 0
    drawn = [line.split()[-1] for line in result.output.splitlines() if "█" in line]
    assert drawn[0] == "████········████"
    assert "32 KiB (32,768 bytes)" in result.output
    assert "50.0%" in result.output


def test_a_map_tells_the_parents_data(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", Recipe(16 * "A" + 16 * "-", footer=WINDOWS))
    path = place(tmp_path / "disk.vhd", child_of("parent.vhd", 8 * "B" + 24 * "-"))
    result = run(path, "--map")
    assert "█◦··" in result.output
    assert "data of a parent" in result.output


def test_a_map_has_an_ascii_form(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe(8 * "A" + 8 * "-", block_size=4096))
    command = [sys.executable, "-m", "vhdtools", "inspect", "--map", str(path)]
    done = subprocess.run(
        command, env={"PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE, check=True
    )
    assert b"#-\n" in done.stdout


@pytest.mark.parametrize(("name", "mark"), [("map.png", PNG), ("MAP.SVG", b"<?xml")])
def test_a_map_is_drawn_into_a_file(name: str, mark: bytes, tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", DYNAMIC)
    result = run("--map", tmp_path / name, disk)
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).read_bytes().startswith(mark)


def test_a_picture_needs_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("--map", tmp_path / "map.svg", place(tmp_path / "disk.vhd", DYNAMIC))
    assert result.exit_code == 2
    assert "pip install 'vhdtools[map]'" in result.stderr


@pytest.mark.parametrize(
    "name", ["a$b$c", "$\\frac{x$", "a_$b^{$", "odd\udcff", "new\nline", "日本"]
)
def test_a_picture_has_any_title(name: str, tmp_path: Path) -> None:
    disk = place(tmp_path / f"{name}.vhd", DYNAMIC)
    result = run("--map", tmp_path / "map.svg", disk)
    assert (result.exit_code, result.output) == (0, f"Wrote {tmp_path / 'map.svg'}\n")
    if "$" in name:
        # Glyphs are drawn as paths, and what they draw is in a comment.
        assert f"<!-- {name}.vhd: 8 KiB" in (tmp_path / "map.svg").read_text("utf-8")


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    target = tmp_path / "no" / "map.svg"
    result = run("--map", target, place(tmp_path / "disk.vhd", DYNAMIC))
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


def test_a_damaged_disk_has_no_map(tmp_path: Path) -> None:
    result = run("--map", place(tmp_path / "disk.vhd", Recipe("A-", header={"block_size": 3})))
    assert result.exit_code == 1
    assert "block size" in result.stderr


def test_a_map_has_cells(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DYNAMIC)
    assert len(map_disk(path, 1).cells) == 1
    for cells in (0, -1):
        with pytest.raises(UsageError, match=f"{cells} cells"):
            map_disk(path, cells)


def test_the_bat_is_listed_in_runs(tmp_path: Path) -> None:
    recipe = Recipe(24 * "A" + 16 * "-" + 8 * "B", order=[0, 1, 5, 2])
    result = run("--bat", place(tmp_path / "disk.vhd", recipe))
    rows = [line.split() for line in result.output.splitlines()[2:]]
    assert rows == [
        ["0–1", "2", "4", "21", "2,048"],
        ["2", "1", "31", "39", "15,872"],
        ["3–4", "2", "unallocated"],
        ["5", "1", "22", "30", "11,264"],
    ]


def test_a_fixed_disk_has_no_bat(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", FIXED)
    assert run("--bat", path).exit_code == 2
    assert run("--hex", "bat", path).exit_code == 2
    assert run("--hex", "header", path).exit_code == 2
    assert run("--hex", "footer", path).exit_code == 0


def test_bytes_are_shown_field_by_field(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DYNAMIC)
    footer = run("--hex", "footer", path).output
    assert "63 6f 6e 65 63 74 69 78" in footer
    assert "cookie: 'conectix'" in footer
    assert "current size: 8,192" in footer
    assert run("--hex", "copy", path).output.count("\n") == footer.count("\n")
    header = run("--hex", "header", path).output
    assert "00000200  63 78 73 70 61 72 73 65" in header
    assert "block size: 4,096" in header
    bat = run("--hex", "bat", path).output
    assert "00000600  00 00 00 04 00 00 00 0d" in bat
    block = run("--hex", "block:1", path).output
    assert "sector 13: sector bitmap at byte 6,656, data at byte 7,168" in block
    assert "00001a00  80 00" in block
    assert "sectors 0: held" in block
    assert "sectors 1–7: clear" in block


@pytest.mark.parametrize("part", ["block:2", "block:-1", "block:x", "block:", "all", "batmap"])
def test_what_is_not_there_has_no_bytes(part: str, tmp_path: Path) -> None:
    result = run("--hex", part, place(tmp_path / "disk.vhd", DYNAMIC))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")


def test_an_unallocated_block_is_told(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe(16 * "-"))
    assert "unallocated" in run("--hex", "block:0", path).output


REFUSED = [
    ["--json", "--bat"],
    ["--json", "--hex", "bat"],
    ["--json", "--map"],
    ["--map", "--bat"],
    ["--map", "--hex", "bat"],
    ["--map", "--deep"],
    ["--bat", "--deep"],
    ["--bat", "--raw-parent"],
    ["--bat", "--fixed-base", "end"],
    ["--bat", "--size-rule", "current"],
    ["--hex", "bat", "--deep"],
    ["--hex", "bat", "--parent-dir", "."],
]
FOR_FILES = [
    ["--deep"],
    ["--map"],
    ["--bat"],
    ["--hex", "footer"],
    ["--parent-dir", "."],
    ["--raw-parent"],
    ["--fixed-base", "end"],
]


@pytest.mark.parametrize("options", REFUSED, ids=" ".join)
def test_options_that_do_not_go_together(options: list[str], tmp_path: Path) -> None:
    result = run(place(tmp_path / "disk.vhd", DYNAMIC), *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert " not go with -" in result.stderr


@pytest.mark.parametrize("options", FOR_FILES, ids=" ".join)
def test_options_that_blobs_do_not_know(options: list[str], tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", DYNAMIC)
    result = run(disk, "https://account.blob.core.windows.net/a/b.vhd?sig=secret", *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"Files alone can be inspected with {options[0]}" in result.stderr
    assert "secret" not in result.stderr


def test_bat_and_bytes_are_shown_together(tmp_path: Path) -> None:
    output = run(place(tmp_path / "disk.vhd", DYNAMIC), "--bat", "--hex", "bat").output
    assert "from sector" in output
    assert "00000600  00 00 00 04" in output


def test_a_picture_is_of_one_disk(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DYNAMIC)
    assert run("--map", tmp_path / "map.svg", path, path).exit_code == 2
    assert run().exit_code == 2


def test_a_missing_path_is_no_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the environment names an account."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "account")
    good = place(tmp_path / "disk.vhd", DYNAMIC)
    for missing in (str(tmp_path / "missing.vhd"), "./no/missing.vhd", "~/no/missing.vhd"):
        result = run("--json", good, missing)
        assert result.exit_code == 1, result.stderr
        documents = json.loads(result.stdout)
        assert [document["path"] for document in documents] == [str(good), missing]
        assert documents[1]["findings"][0]["code"] == "file-unreadable"
        assert documents[1]["findings"][0]["message"].endswith("there is no such file")


def test_a_blob_that_cannot_be_meant_stops_no_other_disk(tmp_path: Path) -> None:
    good = place(tmp_path / "disk.vhd", DYNAMIC)
    url = "https://user:secret@account.blob.core.windows.net/b.vhd?sig=secret"
    result = run("--json", "--connection-string", "nonsense", url, "NO/disk.vhd", good)
    assert result.exit_code == 1, result.stderr
    documents = json.loads(result.stdout)
    CHECK.validate(documents)
    assert [document["findings"][0]["code"] for document in documents[:2]] == [
        "file-unreadable",
        "file-unreadable",
    ]
    assert documents[2]["format"] == "vhd"
    assert "secret" not in result.output


def test_no_picture_is_drawn_over_the_disk(tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.svg", Recipe("A-B-"))
    before = disk.read_bytes()
    result = run("--map", disk, disk)
    assert result.exit_code == 2
    assert "is the disk itself" in result.stderr
    assert disk.read_bytes() == before


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_verdict_comes_first_by_purpose(tmp_path: Path) -> None:
    output = words(run(place(tmp_path / "disk.vhd", DYNAMIC)).output).partition(" Findings ")[0]
    assert "page blob ready managed disk not ready: requires at least 20 MiB, found 1 MiB" in output
    assert "boot disk, generation 1 not ready: " in output
    assert "boot disk, generation 2 not ready: " in output
    assert "file as it is page blob ready; managed disk not ready: requires a fixed disk" in output


def test_a_damaged_disk_is_ready_for_no_purpose(tmp_path: Path) -> None:
    output = words(run(place(tmp_path / "disk.vhd", Recipe("A-", header={"version": 0}))).output)
    assert "any purpose not ready: requires a sound disk, found 1 error" in output


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_purpose_can_be_required(options: list[str], tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", DYNAMIC)
    assert run(path, "--require", "page-blob", *options).exit_code == 0
    result = run(path, "--require", "page-blob", "--require", "managed-disk", *options)
    assert result.exit_code == 1
    assert result.stdout == run(path, *options).stdout
    assert result.stderr.startswith(
        f"Error: {path}: not ready for managed-disk: requires at least 20 MiB, found 1 MiB. Enlarge"
    )
    assert "page-blob" not in result.stderr


def test_each_disk_that_lacks_something_is_named(tmp_path: Path) -> None:
    paths = [place(tmp_path / name, DYNAMIC) for name in ("a.vhd", "b.vhd")]
    result = run("--json", *paths, "--require", "managed-disk")
    assert result.exit_code == 1
    assert len(json.loads(result.stdout)) == 2
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == list(map(str, paths))


def test_what_cannot_be_read_is_ready_for_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "missing.vhd", "--require", "page-blob")
    assert result.exit_code == 1
    assert "not ready for page-blob: requires a sound disk" in result.stderr


def test_a_requirement_does_not_go_with_a_map(tmp_path: Path) -> None:
    result = run(place(tmp_path / "disk.vhd", DYNAMIC), "--map", "--require", "page-blob")
    assert result.exit_code == 2
    assert "--map does not go with --require" in result.stderr


@pytest.mark.parametrize("name", sorted(SAMPLE_DISKS))
def test_figures_can_be_true(name: str, tmp_path: Path) -> None:
    """What the file holds of the disk is no more than the disk, and than the file."""
    path = unpack(name, tmp_path)
    inspection = inspect(path)
    held, size = inspection.allocated_bytes, inspection.virtual_size
    if held is None or size is None:
        return
    assert 0 <= held <= min(size, path.stat().st_size)
    shown = words(run(path).output)
    assert shown.count(" of it in the file (") == 1
    assert not re.search(r"[0-9] %", shown)


@pytest.mark.parametrize(
    ("content", "size", "changes", "held"),
    [
        ("A" * 12, 12 * 512, {}, 12 * 512),  # the last of two blocks is half the disk's
        ("A" * 8 + "-" * 4, 12 * 512, {}, 8 * 512),
        ("-" * 8 + "A" * 4, 12 * 512, {}, 4 * 512),
        ("A" * 16, 16 * 512, {}, 16 * 512),
        ("A" * 16, 16 * 512, {"order": [0, 40]}, 8 * 512),  # a block past the end
    ],
)
def test_blocks_hold_what_is_the_disks(
    content: str, size: int, changes: dict[str, list[int]], held: int, tmp_path: Path
) -> None:
    path = place(tmp_path / "disk.vhd", Recipe(content, size=size, footer=WINDOWS))
    if changes:
        data = bytearray(path.read_bytes())
        data[1536 + 4 : 1536 + 8] = (4000).to_bytes(4, "big")
        path.write_bytes(data)
    assert inspect(path).allocated_bytes == held


def test_overlapping_blocks_hold_no_more_than_the_file(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("A" * 8 + "-" * 792, footer=WINDOWS))
    data = bytearray(path.read_bytes())
    data[1536 : 1536 + 400] = data[1536:1540] * 100
    path.write_bytes(data)
    held = inspect(path).allocated_bytes
    assert held is not None
    assert 4096 <= held <= path.stat().st_size < 800 * 512


def test_a_fixed_disk_is_measured_where_it_lies(tmp_path: Path) -> None:
    recipe = Recipe("A" * 8, disk_type=DiskType.FIXED, lead=b"x" * 512, footer=WINDOWS)
    path = place(tmp_path / "disk.vhd", recipe)
    for options in ({}, {"fixed_base": "start"}, {"fixed_base": "end"}):
        assert inspect(path, **options).allocated_bytes == 8 * 512  # type: ignore[arg-type]


def test_what_lies_before_a_fixed_disk_is_not_its_own(tmp_path: Path) -> None:
    size, surplus = 1 << 20, 1 << 16
    path = tmp_path / "disk.vhd"
    with path.open("wb") as file:
        file.write(b"x" * surplus)
        file.seek(surplus + size)  # the rest is a hole
        recipe = Recipe("", disk_type=DiskType.FIXED, size=size, footer=WINDOWS)
        file.write(build_footer(footer_of(recipe)))
    assert inspect(path, fixed_base="start").allocated_bytes == surplus
    assert inspect(path, fixed_base="end").allocated_bytes == 0


def test_a_share_has_no_blank() -> None:
    assert [share_text(part, 1000) for part in (0, 125, 1000)] == ["0%", "12.5%", "100%"]
    assert share_text(1, 1 << 40) == "< 0.1%"
    assert share_text((1 << 40) - 1, 1 << 40) == "> 99.9%"


def test_the_repr_of_an_inspection_is_short(tmp_path: Path) -> None:
    path = place(tmp_path / "disk.vhd", Recipe("-" * 80_000, block_size=512, footer=WINDOWS))
    inspection = inspect(path)
    assert inspection.structure is not None
    assert len(inspection.structure.bat) == 80_000
    assert len(repr(inspection)) < 500
    assert len(repr(inspection.structure)) < 20_000
    assert str(path) in repr(inspection)
    assert "dynamic" in repr(inspection)
    assert "page-blob" in repr(inspection)
    assert "file-unreadable" in repr(inspect(tmp_path / "missing.vhd"))
