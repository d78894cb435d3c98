"""What a transfer remembers: ledger, ranges, the checkpoint in the metadata, and its owner."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.checksums import crc64
from vhdtools.ranges import PAGE, PageRange, RangeList, coalesce
from vhdtools.transfer.checkpoint import (
    CHECKPOINT_KEY,
    CRC64_KEY,
    OWNER_KEY,
    Checkpoint,
    finished_crc64,
    finished_metadata,
    unfinished_metadata,
)
from vhdtools.transfer.ledger import Ledger, StepResult
from vhdtools.transfer.owner import Owner, decode_owners, encode_owners

LINUX = sys.platform.startswith("linux")
CRCS = st.integers(0, 2**64 - 1)
SAY_OWNER = """
from vhdtools.transfer.owner import Owner
print(Owner.current().encode(), flush=True)
"""


class TestLedger:
    @given(st.lists(st.binary(min_size=1, max_size=100), max_size=20))
    def test_the_crc_is_that_of_the_stream(self, pieces: list[bytes]) -> None:
        ledger = Ledger()
        for piece in pieces:
            ledger.enter(StepResult(ledger.offset, len(piece), crc64(piece)))
        assert ledger.crc64 == crc64(b"".join(pieces))
        assert ledger.offset == sum(map(len, pieces))

    def test_it_takes_no_step_out_of_order(self) -> None:
        ledger = Ledger()
        ledger.enter(StepResult(0, 512, 1))
        for offset in (0, 1024):
            with pytest.raises(ValueError, match="entered at 512"):
                ledger.enter(StepResult(offset, 512, 1))
        assert ledger.offset == 512

    def test_it_keeps_what_was_written(self) -> None:
        ledger = Ledger()
        ledger.enter(StepResult(0, 4096, 0, (PageRange(0, 512), PageRange(1024, 512))))
        ledger.enter(StepResult(4096, 4096, 0, (PageRange(4096, 512),)))
        assert list(ledger.written) == [
            PageRange(0, 512),
            PageRange(1024, 512),
            PageRange(4096, 512),
        ]


class TestRangeList:
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=30))
    def test_it_holds_what_was_added_joined(self, steps: list[tuple[int, int]]) -> None:
        position, ranges = 0, []
        for gap, length in steps:
            ranges.append(PageRange(position + gap * PAGE, length * PAGE))
            position = ranges[-1].end
        held = RangeList(ranges)
        assert list(held) == list(coalesce(ranges))
        assert len(held) == len(list(held))
        assert held.end == position

    def test_it_takes_nothing_that_begins_before_its_end(self) -> None:
        held = RangeList([PageRange(0, 1024)])
        with pytest.raises(ValueError, match="added after 1024"):
            held.append(PageRange(512, 1024))
        assert list(held) == [PageRange(0, 1024)]

    def test_nothing_is_held_at_first(self) -> None:
        assert (list(RangeList()), RangeList().end, len(RangeList())) == ([], 0, 0)


class TestCheckpoint:
    @given(st.integers(0, 2**33), CRCS, st.dictionaries(st.sampled_from(["a", "b"]), st.just("x")))
    def test_what_is_written_is_read(self, pages: int, crc: int, others: dict[str, str]) -> None:
        checkpoint = Checkpoint(pages * PAGE, crc)
        metadata = unfinished_metadata(others, checkpoint, "somebody")
        assert Checkpoint.read(metadata) == checkpoint
        assert finished_crc64(metadata) is None
        assert {key: metadata[key] for key in others} == others
        assert metadata[OWNER_KEY] == "somebody"

    @given(CRCS)
    def test_a_finished_upload_has_no_checkpoint_and_no_owner(self, crc: int) -> None:
        metadata = finished_metadata(unfinished_metadata({"a": "x"}, Checkpoint(0, 0), "me"), crc)
        assert metadata == {"a": "x", CRC64_KEY: f"{crc:016x}"}
        assert finished_crc64(metadata) == crc
        assert Checkpoint.read(metadata) is None

    def test_going_on_with_a_finished_upload_takes_its_mark_away(self) -> None:
        metadata = unfinished_metadata(finished_metadata({}, 5), Checkpoint(512, 1), "me")
        assert CRC64_KEY not in metadata

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "512",
            "512,",
            ",0123456789abcdef",
            "512,0123456789ABCDEF",
            "512,0123456789abcde",
            "512,0123456789abcdef0",
            "-512,0123456789abcdef",
            "+512,0123456789abcdef",
            "5e2,0123456789abcdef",
            " 512,0123456789abcdef",
            "512,0123456789abcdef\n",
            "99999999999999999999,0123456789abcdef",
            "٥١٢,0123456789abcdef",
            "513,0123456789abcdef",
        ],
    )
    def test_hostile_text_is_no_checkpoint(self, text: str) -> None:
        assert Checkpoint.read({CHECKPOINT_KEY: text}) is None

    @given(st.text())
    def test_any_text_is_read_without_an_exception(self, text: str) -> None:
        found = Checkpoint.read({CHECKPOINT_KEY: text})
        assert found is None or (found.offset % PAGE == 0 and 0 <= found.crc64 < 2**64)
        crc = finished_crc64({CRC64_KEY: text})
        assert crc is None or 0 <= crc < 2**64
        assert Owner.decode(text) is None

    def test_a_mark_beside_a_checkpoint_finishes_nothing(self) -> None:
        metadata = {CRC64_KEY: "0" * 16, CHECKPOINT_KEY: "nonsense"}
        assert finished_crc64(metadata) is None


class TestOwner:
    def test_what_is_encoded_is_decoded(self) -> None:
        owner = Owner.current()
        assert Owner.decode(owner.encode()) == owner
        assert owner.encode().isascii()
        assert len(owner.encode()) < 128

    def test_two_are_encoded_and_decoded(self) -> None:
        one, two = Owner.current(), Owner.current()
        assert decode_owners(encode_owners(one, two)) == (one, two)
        assert decode_owners(encode_owners(one)) == (one,)
        assert decode_owners(encode_owners(one, two, one)) == ()
        assert decode_owners(one.encode() + ";") == ()
        assert decode_owners(f"{one.encode()};x") == ()
        assert decode_owners("") == ()

    def test_each_has_a_lease_id_of_its_own(self) -> None:
        one, two = Owner.current(), Owner.current()
        assert one.lease_id != two.lease_id
        assert str(uuid.UUID(one.lease_id)) == one.lease_id

    def test_this_process_is_here_and_not_dead(self) -> None:
        assert Owner.current().is_here
        assert not Owner.current().is_dead

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "x",
            "01234567-89ab-cdef-0123-456789abcdef,0123456789abcdef,1",
            "01234567-89AB-cdef-0123-456789abcdef,0123456789abcdef,1,1",
            "01234567-89ab-cdef-0123-456789abcdef,0123456789abcdef,12345678901,1",
            "01234567-89ab-cdef-0123-456789abcdef,0123456789abcdef,-1,1",
            "01234567-89ab-cdef-0123-456789abcdef,0123456789abcdef,1,1,1",
            "01234567-89ab-cdef-0123-456789abcdef,0123456789abcdef,1,1\n",
            "01234567-89ab-cdef-0123-456789abcdef,0123456789abcdef,../self,1",
        ],
    )
    def test_hostile_text_is_no_owner(self, text: str) -> None:
        assert Owner.decode(text) is None

    def test_a_process_elsewhere_is_never_taken_for_dead(self) -> None:
        assert not replace(Owner.current(), host="0" * 16, pid=0).is_dead

    def test_a_process_that_ended_is_dead(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                SAY_OWNER,
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        owner = Owner.decode(done.stdout.strip())
        assert owner is not None
        assert owner.is_here
        assert owner.pid != os.getpid()
        assert owner.is_dead == LINUX

    def test_a_zombie_is_dead(self) -> None:
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SAY_OWNER,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            owner = Owner.decode(process.stdout.readline().strip())
            assert process.stdout.read() == ""  # its end of the pipe closed: it is exiting
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert owner is not None
            assert owner.is_dead == LINUX

    def test_another_process_with_the_same_number_is_not_it(self) -> None:
        owner = Owner.current()
        assert replace(owner, started=owner.started + 1).is_dead == LINUX

    def test_no_such_number_is_dead(self) -> None:
        assert replace(Owner.current(), pid=9_999_999_999).is_dead == LINUX
