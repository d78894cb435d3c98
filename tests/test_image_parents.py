"""Where parents are looked for, what is taken for one, and what never is."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.build_vhd import (
    UNIQUE_ID,
    Recipe,
    build,
    child_of,
    footer_of,
    guest_view,
    patch,
    place,
)
from vhdtools.errors import DamagedImageError, ParentError, SourceReadError
from vhdtools.image import chain as chain_module
from vhdtools.image import open as open_image
from vhdtools.image.chain import follow_chain
from vhdtools.image.parents import find_parent, places_to_look
from vhdtools.image.source import Source, open_source
from vhdtools.image.structure import read_structure
from vhdtools.layout import DiskType, build_footer

PARENT = Recipe("PPPP")
OTHER = Recipe("XXXX", footer={"unique_id": b"another disk's.."})


def named(*, name: str = "", **locators: str) -> Recipe:
    """A child that calls its parent this in the header, and that in its locators, by code."""
    return child_of(
        "",
        "A---",
        parent_name=name.encode("utf-16-be"),
        locators=[
            (code.encode(), text.encode("utf-8" if code == "MacX" else "utf-16-le"))
            for code, text in locators.items()
        ],
    )


def reads(child: Path, **options: Any) -> bool:
    with open_image(child, **options) as image:
        buffer = bytearray(image.virtual_size)
        image.read_into(0, buffer)
    return buffer == guest_view("A---", "PPPP")


SPELLINGS: dict[str, tuple[dict[str, str], str]] = {
    "relative": ({"W2ru": ".\\parent.vhd"}, "parent.vhd"),
    "bare": ({"W2ru": "parent.vhd"}, "parent.vhd"),
    "below": ({"W2ru": ".\\base\\parent.vhd"}, "base/parent.vhd"),
    "beside": ({"W2ru": "..\\base\\parent.vhd"}, "../base/parent.vhd"),
    "slashes": ({"W2ku": "base/parent.vhd"}, "base/parent.vhd"),
    "name in the header": ({"name": "parent.vhd"}, "parent.vhd"),
    "URL of blktap": ({"MacX": "file://./parent.vhd"}, "parent.vhd"),
    "URL, escaped": ({"MacX": "file://./my%20parent%c3%a4.vhd"}, "my parentä.vhd"),
    "no URL": ({"MacX": "parent.vhd"}, "parent.vhd"),
    "drive": ({"W2ku": "C:\\Users\\me\\parent.vhd"}, "parent.vhd"),
    "drive, and folder": ({"W2ku": "C:\\disks\\base\\parent.vhd"}, "base/parent.vhd"),
    "no folder of the drive": ({"W2ku": "C:parent.vhd"}, "parent.vhd"),
    "long path": ({"W2ku": "\\\\?\\C:\\disks\\parent.vhd"}, "parent.vhd"),
    "share": ({"W2ku": "\\\\server\\share\\parent.vhd"}, "parent.vhd"),
    "long share": ({"W2ku": "\\\\?\\UNC\\server\\share\\base\\parent.vhd"}, "base/parent.vhd"),
    "case": ({"W2ru": ".\\PARENT.VHD"}, "Parent.vhd"),
    "case of folders": ({"W2ru": "..\\BASE\\parent.vhd"}, "../Base/Parent.vhd"),
    "NUL behind": ({"W2ru": ".\\parent.vhd\0junk"}, "parent.vhd"),
    "POSIX path that is gone": ({"W2ku": "/gone/parent.vhd"}, "parent.vhd"),
    "second locator": ({"W2ru": ".\\gone.vhd", "W2ku": "C:\\parent.vhd"}, "parent.vhd"),
    "header after locators": ({"W2ru": ".\\gone.vhd", "name": "parent.vhd"}, "parent.vhd"),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_spellings(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts, where = SPELLINGS[case]
    folder = tmp_path / "child"
    folder.mkdir()
    parent = folder / where
    parent.parent.mkdir(exist_ok=True)
    place(parent, PARENT)
    child = place(folder / "child.vhd", named(**texts))
    assert reads(child)
    # The working directory has no say: neither when it is elsewhere, nor when it is there.
    monkeypatch.chdir(tmp_path)
    assert reads(Path("child", "child.vhd"))


@pytest.mark.parametrize("code", ["W2ku", "MacX"])
def test_an_absolute_path(tmp_path: Path, code: str) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    parent = place(tmp_path / "far" / "parent.vhd", PARENT)
    text = str(parent) if code == "W2ku" else parent.as_uri()
    assert reads(place(tmp_path / "near" / "child.vhd", named(**{code: text})))
    text = text.replace("file://", "file://localhost")
    assert reads(place(tmp_path / "near" / "child.vhd", named(**{code: text})))


def test_parent_dirs(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", named(W2ku="D:\\disks\\base\\Parent.vhd"))
    for folder in ("one", "two/base"):
        (tmp_path / folder).mkdir(parents=True)
    place(tmp_path / "one" / "parent.vhd", OTHER)
    with pytest.raises(ParentError):
        open_image(child, parent_dirs=[tmp_path / "one"])
    place(tmp_path / "two" / "base" / "parent.vhd", PARENT)
    assert reads(child, parent_dirs=[tmp_path / "one", tmp_path / "gone", str(tmp_path / "two")])
    assert reads(child, parent_dirs=[tmp_path / "two" / "base"])


def test_the_working_directory_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "child").mkdir()
    child = place(tmp_path / "child" / "child.vhd", named(W2ru=".\\parent.vhd"))
    place(tmp_path / "parent.vhd", PARENT)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParentError, match="was not found"):
        open_image(child)


def test_a_missing_parent_tells_every_place(tmp_path: Path) -> None:
    texts = {"W2ru": ".\\one.vhd", "W2ku": "C:\\x\\two.vhd", "name": "three.vhd"}
    child = place(tmp_path / "child.vhd", named(**texts))
    with pytest.raises(ParentError) as raised:
        open_image(child, parent_dirs=[tmp_path / "dir"])
    message = str(raised.value)
    assert message.startswith(
        f"{child}: the parent, with the unique id {uuid.UUID(bytes=UNIQUE_ID)}, was not"
    )
    for place_ in ("one.vhd", "two.vhd", "three.vhd", "dir/one.vhd"):
        assert f"{tmp_path / place_} (there is no such file)" in message
    assert "--parent-dir" in raised.value.remedy


def test_many_places_are_not_all_told(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", named(W2ru=".\\one.vhd", name="two.vhd"))
    with pytest.raises(ParentError, match=", 34 more"):
        open_image(child, parent_dirs=[tmp_path / str(number) for number in range(22)])


def test_a_path_does_not_write_to_the_terminal(tmp_path: Path) -> None:
    child = place(tmp_path / "child.vhd", named(W2ru=".\\a\x1b[2J\n\u202e.vhd"))
    with pytest.raises(ParentError) as raised:
        open_image(child)
    assert "a\\x1b[2J\\n\\u202e.vhd" in str(raised.value)
    assert str(raised.value).isprintable()


def test_another_disk_is_not_the_parent(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", OTHER)
    (tmp_path / "text.vhd").write_text("no disk")
    child = place(tmp_path / "child.vhd", named(W2ru=".\\parent.vhd", name="text.vhd"))
    with pytest.raises(ParentError, match="is none of the files") as raised:
        open_image(child)
    other = uuid.UUID(bytes=b"another disk's..")
    assert f"parent.vhd (another VHD, with the unique id {other})" in raised.value.problem
    assert "text.vhd (not a VHD)" in raised.value.problem


def test_an_id_in_what_the_guest_stored_is_not_enough(tmp_path: Path) -> None:
    """A fixed disk of another id, that holds at its start what looks like the parent."""
    content = build(PARENT)
    recipe = Recipe("-" * (len(content) // 512), DiskType.FIXED, footer=OTHER.footer)
    (tmp_path / "parent.vhd").write_bytes(content + build_footer(footer_of(recipe)))
    child = place(tmp_path / "child.vhd", named(W2ru="parent.vhd"))
    with pytest.raises(ParentError, match="is none of the files"):
        open_image(child)


@pytest.mark.parametrize("disk_type", [DiskType.FIXED, DiskType.DYNAMIC])
def test_a_parent_with_bytes_behind_its_footer(tmp_path: Path, disk_type: int) -> None:
    place(tmp_path / "parent.vhd", replace(PARENT, disk_type=disk_type, trail=b"x" * 700))
    child = place(tmp_path / "child.vhd", named(W2ru=".\\parent.vhd"))
    assert reads(child)
    place(tmp_path / "parent.vhd", replace(OTHER, disk_type=disk_type, trail=b"x" * 700))
    with pytest.raises(ParentError, match="another VHD, with the unique id"):
        open_image(child)


def test_a_parent_with_a_lost_end_is_known_by_its_copy(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", replace(PARENT, end_size=0))
    assert reads(place(tmp_path / "child.vhd", named(W2ru="parent.vhd")))


def test_a_damaged_parent(tmp_path: Path) -> None:
    parent = place(tmp_path / "parent.vhd", PARENT)
    patch(parent, 1536, bytes(4))
    child = place(tmp_path / "child.vhd", named(W2ru="parent.vhd"))
    with pytest.raises(DamagedImageError, match=r"parent\.vhd: block 0 .* the footer copy"):
        open_image(child)


def test_a_fixed_parent_of_unknown_base(tmp_path: Path) -> None:
    (tmp_path / "parent.vhd").write_bytes(bytes(512) + build(Recipe("PPPP", DiskType.FIXED)))
    child = place(tmp_path / "child.vhd", named(W2ru="parent.vhd"))
    with pytest.raises(DamagedImageError, match=r"parent\.vhd: the file is 512 bytes longer"):
        open_image(child)
    assert reads(child, fixed_base="end")


def test_its_own_parent(tmp_path: Path) -> None:
    """Found by the file, not by the id: two disks of MiniVHD may share one."""
    recipe = replace(named(W2ru="child.vhd"), footer={"unique_id": UNIQUE_ID})
    child = place(tmp_path / "child.vhd", recipe)
    with pytest.raises(ParentError, match="its own ancestor"):
        open_image(child)
    os.link(child, tmp_path / "hard.vhd")
    (tmp_path / "soft.vhd").symlink_to(child)
    for name in ("hard.vhd", "soft.vhd"):
        again = replace(recipe, locators=[(b"W2ru", name.encode("utf-16-le"))])
        child.write_bytes(build(again))
        with pytest.raises(ParentError, match="its own ancestor"):
            open_image(child)


def test_a_parent_with_the_childs_id(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", PARENT)
    recipe = replace(named(W2ru="child.vhd", name="parent.vhd"), footer={"unique_id": UNIQUE_ID})
    assert reads(place(tmp_path / "child.vhd", recipe))


def test_a_cycle_of_two(tmp_path: Path) -> None:
    one, two = bytes([1] * 16), bytes([2] * 16)
    place(tmp_path / "a.vhd", child_of("b.vhd", "A", parent_id=two, footer={"unique_id": one}))
    place(tmp_path / "b.vhd", child_of("a.vhd", "B", parent_id=one, footer={"unique_id": two}))
    with pytest.raises(ParentError, match=r"b\.vhd: the disk is its own ancestor"):
        open_image(tmp_path / "a.vhd")


def a_chain_of_five(tmp_path: Path, content: str = "A", **changes: Any) -> None:
    for level in range(4):
        recipe = child_of(
            f"{level + 1}.vhd",
            content,
            parent_id=bytes([level + 1] * 16),
            footer={"unique_id": bytes([level] * 16)},
            **changes,
        )
        place(tmp_path / f"{level}.vhd", recipe)
    place(tmp_path / "4.vhd", Recipe("P", footer={"unique_id": bytes([4] * 16)}))


def test_a_chain_too_deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "MAX_DEPTH", 3)
    a_chain_of_five(tmp_path)
    with pytest.raises(ParentError, match="more than"):
        open_image(tmp_path / "0.vhd")
    open_image(tmp_path / "2.vhd").close()


@pytest.mark.parametrize(
    "taking",
    [
        {"content": "-" * 32_000, "block_size": 512},
        {"locators": [(b"W2ru", ".\\{}.vhd\0".ljust(30_000, "x").encode("utf-16-le"))]},
    ],
    ids=["BATs", "locators"],
)
def test_a_chain_that_takes_too_much_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taking: dict[str, Any]
) -> None:
    monkeypatch.setattr(chain_module, "MAX_CHAIN_BYTES", 300_000)
    a_chain_of_five(tmp_path, **taking)
    with pytest.raises(ParentError, match=r"0\.vhd: .* of the first [34] disks .* memory"):
        open_image(tmp_path / "0.vhd")
    open_image(tmp_path / "3.vhd").close()
    path = tmp_path / "0.vhd"
    chain = follow_chain(open_source(path), read_structure(path))
    assert chain.too_large
    assert sum(link.structure.kept_bytes for link in chain.links[:-1]) <= 300_000
    chain.close()


def test_a_raw_parent_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "parent.raw").write_bytes(b"R" * 1024)
    recipe = replace(named(W2ru="parent.raw"), parent_id=bytes(16))
    child = place(tmp_path / "child.vhd", recipe)
    with pytest.raises(ParentError, match=r"has no unique id.*parent\.raw \(not a VHD\)") as raised:
        open_image(child)
    assert "--raw-parent" in raised.value.remedy
    with open_image(child, raw_parent=True) as image:
        image.check_unchanged()
        buffer = bytearray(512)
        image.read_into(512, buffer)
        assert buffer == b"R" * 512
    chain = follow_chain(open_source(child), read_structure(child), raw_parent=True)
    assert chain.raw is not None
    chain.close()
    with pytest.raises(ValueError, match="closed file"):
        chain.raw.read(0, 1)


def test_a_raw_parent_is_no_vhd_of_another_id(tmp_path: Path) -> None:
    place(tmp_path / "parent.raw", PARENT)
    child = place(tmp_path / "child.vhd", replace(named(W2ru="parent.raw"), parent_id=bytes(16)))
    with pytest.raises(ParentError, match="is none of the files"):
        open_image(child, raw_parent=True)


def test_a_vhd_may_have_a_null_id(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", replace(PARENT, footer={"unique_id": bytes(16)}))
    recipe = replace(named(W2ru="parent.vhd"), parent_id=bytes(16))
    child = place(tmp_path / "child.vhd", recipe)
    with pytest.raises(ParentError, match=r"parent\.vhd \(a VHD with this id\)") as raised:
        open_image(child)
    assert "--raw-parent" in raised.value.remedy
    assert reads(child, raw_parent=True)


def test_no_spelling_at_all(tmp_path: Path) -> None:
    for text in ("", ".", "..\\..", "\\\\", "C:\\", "\0x"):
        child = place(tmp_path / "child.vhd", named(W2ru=text))
        assert places_to_look(read_structure(child), [tmp_path]) == []
        with pytest.raises(ParentError, match="it names no place to look at"):
            open_image(child)


def test_folders_pipes_and_devices_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    texts = {"W2ru": "folder", "W2ku": "/dev/zero", "MacX": "file:///dev/tty", "name": "pipe"}
    child = place(tmp_path / "child.vhd", named(**texts))
    opened = []
    original = os.open

    def recording(path: Path, *arguments: int) -> int:
        opened.append(path)
        return original(path, *arguments)

    monkeypatch.setattr(os, "open", recording)
    with pytest.raises(ParentError, match=r"this is a folder.*this is not a regular file"):
        open_image(child)
    assert set(opened) == {child}


def test_servers_are_not_asked(tmp_path: Path) -> None:
    """On Windows, that would tell somebody's server who the user is."""
    for start in ("\\\\", "//", "\\/", "/\\"):
        text = f"{start}server\\share/parent.vhd"
        child = place(tmp_path / "child.vhd", named(W2ku=text))
        places = places_to_look(read_structure(child))
        assert places == [tmp_path / "parent.vhd"]


def test_of_another_file_only_the_ends_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 100_000)
    child = place(tmp_path / "child.vhd", named(W2ku=str(secret)))
    touched: list[tuple[int, int]] = []
    original = Source.read_into

    def recording(source: Source, offset: int, view: memoryview) -> None:
        if source.path == secret:
            touched.append((offset, len(view)))
        original(source, offset, view)

    monkeypatch.setattr(Source, "read_into", recording)
    with pytest.raises(ParentError, match="not a VHD"):
        open_image(child)
    assert {(0, 512), (34_464, 65_536)} <= set(touched)
    assert all(offset >= 34_464 or (offset, size) == (0, 512) for offset, size in touched)


@pytest.mark.parametrize(
    "text",
    ["a\\" * 2000 + "p.vhd", "..\\" * 1300 + "p.vhd", "x" * 32_000, "\\".join(["ab"] * 1300)],
)
def test_long_paths_are_bounded(tmp_path: Path, text: str) -> None:
    child = place(tmp_path / "child.vhd", named(W2ru=text, W2ku=text))
    assert len(places_to_look(read_structure(child))) <= 2
    with pytest.raises(ParentError):
        open_image(child)


def test_a_file_that_cannot_be_read_is_not_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "broken.vhd", PARENT)
    child = place(tmp_path / "child.vhd", named(W2ru="broken.vhd"))
    original = Source.read_into

    def failing(source: Source, offset: int, view: memoryview) -> None:
        if source.path.name == "broken.vhd":
            raise SourceReadError(str(source.path), "cannot be read: broken")
        original(source, offset, view)

    monkeypatch.setattr(Source, "read_into", failing)
    with pytest.raises(ParentError, match=r"broken\.vhd \(cannot be read: broken\)"):
        open_image(child)
    place(tmp_path / "parent.vhd", PARENT)
    assert reads(place(child, named(W2ru="broken.vhd", name="parent.vhd")))


def test_a_failure_on_the_way_closes_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    source = open_source(place(tmp_path / "child.vhd", named(W2ru="parent.vhd")))
    monkeypatch.setattr(chain_module, "find_parent", interrupted)
    with pytest.raises(KeyboardInterrupt):
        follow_chain(source, read_structure(source))
    with pytest.raises(ValueError, match="closed file"):
        source.read(0, 1)


def test_all_files_are_closed_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / "parent.vhd", child_of("gone.vhd", "P", footer={"unique_id": UNIQUE_ID}))
    child = place(tmp_path / "child.vhd", named(W2ru="parent.vhd"))
    opened: list[Source] = []
    original = Source.__init__

    def recording(source: Source, *arguments: Any) -> None:
        opened.append(source)
        original(source, *arguments)

    monkeypatch.setattr(Source, "__init__", recording)
    with pytest.raises(ParentError):
        open_image(child)
    assert {source.path.name for source in opened} == {"child.vhd", "parent.vhd"}
    for source in opened:
        with pytest.raises(ValueError, match="closed file"):
            source.read(0, 1)


def test_a_chain_tells_what_it_found(tmp_path: Path) -> None:
    place(tmp_path / "parent.vhd", PARENT)
    path = place(tmp_path / "child.vhd", named(W2ru="parent.vhd"))
    chain = follow_chain(open_source(path), read_structure(path))
    assert [link.source.path.name for link in chain.links] == ["child.vhd", "parent.vhd"]
    assert (chain.raw, chain.failure, chain.too_deep) == (None, None, False)
    chain.close()
    chain.close()


def test_a_search_tells_how_it_ended(tmp_path: Path) -> None:
    child = read_structure(place(tmp_path / "child.vhd", named(W2ru="parent.vhd", name="x.vhd")))

    def outcome(chain: Sequence[tuple[int, int]] = ()) -> str:
        search = find_parent(child, chain)
        if search.source is not None:
            search.source.close()
        return search.outcome

    assert outcome() == "missing"
    place(tmp_path / "x.vhd", OTHER)
    assert outcome() == "wrong-id"
    place(tmp_path / "parent.vhd", PARENT)
    assert outcome() == "found"
    status = (tmp_path / "parent.vhd").stat()
    assert outcome([(status.st_dev, status.st_ino)]) == "cycle"


def test_moved_together(tmp_path: Path) -> None:
    """A whole tree of disks, copied from Windows to somewhere else."""
    tree = tmp_path / "tree"
    (tree / "Base").mkdir(parents=True)
    (tree / "Snapshots").mkdir()
    place(tree / "Base" / "Parent.vhd", PARENT)
    texts = {"W2ku": "C:\\VMs\\base\\parent.vhd", "W2ru": "..\\base\\parent.vhd"}
    place(tree / "Snapshots" / "child.avhd", named(**texts))
    moved = tmp_path / "moved"
    shutil.move(tree, moved)
    assert reads(moved / "Snapshots" / "child.avhd")


@pytest.mark.parametrize("disk_type", [DiskType.DYNAMIC, DiskType.FIXED])
def test_a_parent_is_read_beyond_its_geometry(tmp_path: Path, disk_type: int) -> None:
    """Virtual PC's own disks end at their geometry, but a child over one may go on further."""
    word, child = "P" * 20, "A" + "-" * 19
    shape = {"cylinders": 1, "heads": 2, "sectors_per_track": 4}
    parent = Recipe(word, disk_type=disk_type, footer={"creator_application": b"vpc ", **shape})
    place(tmp_path / "parent.vhd", parent)
    with open_image(tmp_path / "parent.vhd", size_rule="geometry") as image:
        assert image.virtual_size == 8 * 512
    with open_image(place(tmp_path / "child.vhd", child_of("parent.vhd", child))) as image:
        buffer = bytearray(image.virtual_size)
        image.read_into(0, buffer)
    assert buffer == guest_view(child, word)
