"""Parents that were renamed, moved or damaged, and what is said of those that are not found."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.build_vhd import UNIQUE_ID, Recipe, child_of, patch, place
from tests.support.disks import unpack
from vhdtools.cli import main
from vhdtools.errors import DamagedImageError, ParentError
from vhdtools.image import open as open_image
from vhdtools.inspection import Finding, Inspection, inspect

PARENT = Recipe("P" * 8)
CHILD = child_of("base.vhd", "C-------")


def finding(inspection: Inspection, code: str) -> Finding:
    matching = [found for found in inspection.findings if found.code == code]
    assert matching, [found.code for found in inspection.findings]
    return matching[0]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def chain_of(inspection: Inspection) -> list[str]:
    assert not inspection.has_errors, inspection.findings
    return [Path(ancestor.path).name for ancestor in inspection.ancestors]


# D10: a parent is known by its id.


def test_a_renamed_parent_beside_the_child_is_found(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", CHILD)
    place(tmp_path / "renamed.vhd", PARENT)
    place(tmp_path / "other.vhd", Recipe("O" * 8, footer={"unique_id": b"another disk's.."}))
    assert chain_of(inspect(child)) == ["renamed.vhd"]


def test_a_renamed_parent_is_found_in_a_folder_that_is_named(tmp_path: Path) -> None:
    child = unpack("field/other/S2-renamed.vhd", tmp_path)
    parent = unpack("field/store/base-renamed.vhd", tmp_path)
    assert finding(inspect(child), "parent-missing").reruns
    assert chain_of(inspect(child, parent_dirs=[parent.parent])) == ["base-renamed.vhd"]
    assert chain_of(inspect(child, parents=[parent])) == ["base-renamed.vhd"]
    with open_image(child, parents=[parent]) as image:
        assert image.files == (child, parent)
    for option in (("--parent", parent), ("--parent-dir", parent.parent)):
        assert run("inspect", child, *option).exit_code == 0
        target = tmp_path / f"{option[0]}.vhd"
        assert run("upload", *option, child, f"file:{target}").exit_code == 0
        assert run("verify", child, f"file:{target}", *option).exit_code == 0


def test_a_named_file_is_the_parent_only_with_its_id(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", CHILD)
    (tmp_path / "far").mkdir()
    other = place(tmp_path / "far" / "o.vhd", replace(PARENT, footer={"unique_id": b"o" * 16}))
    with pytest.raises(ParentError, match="another VHD, with the unique id"):
        open_image(child, parents=[other])


def test_every_level_of_a_chain_may_be_named(tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    child = place(tmp_path / "child.vhd", replace(CHILD, parent_id=b"m" * 16))
    middle = place(far / "m", replace(CHILD, footer={"unique_id": b"m" * 16}))
    base = place(tmp_path / "b", PARENT)
    assert chain_of(inspect(child, parents=[base, middle])) == ["m", "b"]


def test_copies_of_the_parent_are_not_chosen_from(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", CHILD)
    one = place(tmp_path / "one.vhd", PARENT)
    shutil.copy(one, tmp_path / "two.vhd")
    found = finding(inspect(child), "parent-ambiguous")
    assert "one.vhd" in found.message
    assert "two.vhd" in found.message
    assert chain_of(inspect(child, parents=[one])) == ["one.vhd"]


def test_a_search_of_a_folder_is_bounded_and_reads_headers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vhdtools.image.source import Source

    child = place(tmp_path / "child.vhd", CHILD)
    for number in range(1010):
        (tmp_path / f"{number:04}").write_bytes(b"x" * 100_000 if number == 1 else b"")
    touched: dict[str, int] = {}
    original = Source.read_into

    def recording(source: Source, offset: int, view: memoryview) -> None:
        touched[source.path.name] = touched.get(source.path.name, 0) + len(view)
        original(source, offset, view)

    monkeypatch.setattr(Source, "read_into", recording)
    place(tmp_path / "zzzz.vhd", PARENT)  # behind a thousand others
    assert finding(inspect(child), "parent-missing") is not None
    assert touched["0001"] <= 70_000
    assert "zzzz.vhd" not in touched


# D9: the right parent, damaged.


def test_the_right_parent_whose_footer_is_damaged(tmp_path: Path) -> None:
    child = unpack("field/IDP-child-of-badfoot.vhd", tmp_path)
    parent = child.with_name("badfoot.vhd")
    found = finding(inspect(child), "parent-damaged")
    assert f"`vhdtool repair {parent} --fix-checksum footer --write`" in found.remedy
    with pytest.raises(DamagedImageError, match="checksum"):
        open_image(child)
    assert run("repair", parent, "--fix-checksum", "footer", "--write").exit_code == 0
    assert run("repair", parent, "--fix-checksum", "copy", "--write").exit_code == 0
    assert chain_of(inspect(child)) == ["badfoot.vhd"]


def test_a_sound_file_with_the_id_comes_before_a_damaged_one(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", CHILD)
    damaged = place(tmp_path / "base.vhd", PARENT)
    for offset in (64, -512 + 64):
        patch(damaged, offset, bytes(4))
    assert finding(inspect(child), "parent-damaged").reruns == ()
    place(tmp_path / "sound.vhd", PARENT)
    assert chain_of(inspect(child)) == ["sound.vhd"]


# D11: no parent at all, and a disk that is too large.


def test_a_disk_that_names_no_parent(tmp_path: Path) -> None:
    disk = unpack("field/B436-type4-noparent.vhd", tmp_path)
    found = finding(inspect(disk), "parent-not-named")
    assert "no id, name or locator" in found.message
    assert "qemu-img convert" in found.remedy
    with pytest.raises(ParentError, match="names no parent"):
        open_image(disk)
    with pytest.raises(ParentError, match="names no parent"):
        open_image(disk, raw_parent=True)
    parent = tmp_path / "parent.raw"
    parent.write_bytes(b"p" * (24 << 20))
    with open_image(disk, parents=[parent], raw_parent=True) as image:
        data = bytearray(512)
        image.read_into(image.virtual_size - 512, data)
        assert data == b"p" * 512


def test_a_disk_above_the_limit_whose_table_covers_it(tmp_path: Path) -> None:
    found = finding(inspect(unpack("field/B35-2.5TiB.vhd", tmp_path)), "size-over-limit")
    assert "its BAT covers all of it" in found.message
    assert "VHDX, raw" in found.remedy


# E9: one notation, and names as they are.


def test_one_id_has_one_notation_on_a_screen(tmp_path: Path) -> None:
    recipe = replace(CHILD, footer={**CHILD.footer, "creator_application": b"win "})
    output = run("inspect", place(tmp_path / "child.vhd", recipe)).output
    assert "13121110-1514-1716-1819-1a1b1c1d1e1f" in output
    assert UNIQUE_ID.hex() not in output


def test_names_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Nope.vhd" not in run("inspect", "nope.vhd").output
    place(tmp_path / "BASE.VHD", PARENT)
    assert chain_of(inspect(place(tmp_path / "child.vhd", CHILD))) == ["BASE.VHD"]


@pytest.mark.parametrize(("offset", "code"), [(0, "footer-cookie"), (512, "header-cookie")])
def test_no_python_in_messages(offset: int, code: str, tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", PARENT)
    patch(disk, offset, b"\x00\xffbroken")
    if not offset:
        patch(disk, -512, b"\x00\xffbroken")
    message = finding(inspect(disk), code).message
    assert "00 ff 62 72" in message
    assert "b'" not in message


# D12: the command that was run.


def test_a_remedy_is_the_command_that_was_run(tmp_path: Path) -> None:
    child = place(tmp_path / "my disk.vhd", replace(CHILD, parent_id=bytes(16)))
    target = f"file:{tmp_path / 'out.vhd'}"
    quoted = f"'{child}'"
    for words in (["upload", child, target], ["verify", child, target], ["inspect", child]):
        rest = f" {target}" if words[0] != "inspect" else ""
        output = " ".join(run(*words).output.split())
        assert f"`vhdtool {words[0]} --raw-parent {quoted}{rest}`" in output
    found = json.loads(run("inspect", "--json", child).stdout)["findings"][0]
    assert f"`vhdtool inspect --raw-parent --json {quoted}`" in found["remedy"]


def test_a_remedy_of_one_disk_of_several_is_about_that_one(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", replace(CHILD, parent_id=bytes(16)))
    other = place(tmp_path / "other.vhd", PARENT)
    assert f"`vhdtool inspect --raw-parent {child}`" in run("inspect", other, child).output


def test_a_remedy_does_not_repeat_a_secret(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", replace(CHILD, parent_id=bytes(16)))
    secret = "https://account.blob.core.windows.net/disks/d.vhd?sv=2021&sig=c2VjcmV0c2VjcmV0"
    result = run("upload", child, secret)
    assert "run the same command with --raw-parent" in result.output
    assert "c2VjcmV0" not in result.output


def test_the_library_names_its_argument(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", replace(CHILD, parent_id=bytes(16)))
    with pytest.raises(ParentError) as raised:
        open_image(child)
    assert "raw_parent=True (--raw-parent)" in raised.value.remedy
    assert "vhdtool" not in str(raised.value)


def test_files_that_were_not_looked_at_are_told_of(tmp_path: Path) -> None:
    child = place(tmp_path / "0.vhd", child_of("gone.vhd", "ab"))
    for number in range(1000):
        (tmp_path / f"a{number}").touch()
    place(tmp_path / "z.vhd", Recipe("abcd"))
    with pytest.raises(ParentError, match=r"first 1,000 files .* the others were not looked at"):
        open_image(child)
