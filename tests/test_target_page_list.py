"""Reading the XML of Get Page Ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.ranges import PAGE, PageRange, coalesce
from vhdtools.target.page_list import parse_page_list

HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>'


def xml(*ranges: tuple[int, int], tail: str = "") -> bytes:
    inner = "".join(
        f"<PageRange><Start>{start}</Start><End>{last}</End></PageRange>" for start, last in ranges
    )
    return f"{HEAD}<PageList>{inner}{tail}</PageList>".encode()


def test_nothing_written() -> None:
    for body in (xml(), f"{HEAD}<PageList/>".encode(), b"<PageList></PageList>"):
        ranges, marker = parse_page_list(body)
        assert (list(ranges), marker) == ([], "")


def test_ranges_and_marker() -> None:
    ranges, marker = parse_page_list(
        xml((0, 511), (1024, 2047), tail="<NextMarker>2!8 =</NextMarker>")
    )
    assert list(ranges) == [PageRange(0, 512), PageRange(1024, 1024)]
    assert marker == "2!8 ="
    assert parse_page_list(xml((0, 511), tail="<NextMarker />"))[1] == ""


def test_cleared_ranges_are_not_written_ones() -> None:
    """They come in differences between snapshots alone."""
    cleared = "<ClearRange><Start>512</Start><End>1023</End></ClearRange>"
    ranges, _ = parse_page_list(xml((0, 511), tail=cleared))
    assert list(ranges) == [PageRange(0, 512)]


def test_space_between() -> None:
    body = xml((0, 511), (1024, 1535)).replace(b"><", b">\n  <")
    assert len(parse_page_list(body)[0]) == 2


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=50))
def test_any_ranges(gaps: list[tuple[int, int]]) -> None:
    ranges, end = [], 0
    for gap, length in gaps:
        ranges.append(PageRange(end + gap * PAGE, length * PAGE))
        end = ranges[-1].end
    found, _ = parse_page_list(xml(*((item.offset, item.end - 1) for item in ranges)))
    assert list(found) == list(coalesce(ranges))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html></html>",
        xml((0, 511))[:-5],
        xml((1024, 1535), (0, 511)),
        xml((0, 1023), (512, 2047)),
        xml((-512, -1)),
        xml((0, 1 << 80)),
        xml((0, 511)).replace(b"511", b"many"),
        xml((0, 511)).replace(b"<End>511</End>", b""),
        b"\xff\xfe\x00",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><PageList>&b;&c;</PageList>',
    ],
    ids=lambda body: repr(body[-40:]),
)
def test_what_is_no_list(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_page_list(body)
