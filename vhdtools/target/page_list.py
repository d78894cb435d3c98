"""The XML that Get Page Ranges answers with (REST reference, "Get Page Ranges")."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

from vhdtools.ranges import PageRange, RangeList

__all__ = ["parse_page_list"]


def parse_page_list(body: bytes) -> tuple[RangeList, str]:
    """The ranges that were written, and the marker of the next part of the list ("" at its end).

    Read element by element, as an emulator's list of a million ranges comes in one piece. Raises
    ValueError for anything else, such as ranges out of order.
    """
    ranges = RangeList()
    marker = ""
    root: ET.Element | None = None
    try:
        for event, element in ET.iterparse(io.BytesIO(body), events=("start", "end")):
            if root is None:
                root = element
                if root.tag != "PageList":
                    raise ValueError(f"not a list of page ranges, but {root.tag!r}")
            elif event == "end" and element.tag == "PageRange":
                start, last = int(element[0].text or ""), int(element[1].text or "")
                ranges.append(PageRange(start, last + 1 - start))
                root.clear()
            elif event == "end" and element.tag == "NextMarker":
                marker = element.text or ""
    except (ET.ParseError, IndexError, OverflowError) as error:
        raise ValueError(f"not a list of page ranges: {error}") from error
    if root is None:
        raise ValueError("not a list of page ranges, but nothing")
    return ranges, marker
