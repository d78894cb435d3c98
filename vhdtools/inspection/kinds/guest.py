"""Kinds of findings about what the guest has on its disk."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level

IMAGE_INSIDE = Kind(
    "disk-image-inside",
    Level.WARNING,
    "The disk holds another disk image, or an archive, in the place of a disk's content",
    "The guest sees the bytes of that file, not the disk in it. Such a file comes of converting "
    "it as if it were a raw disk: qemu-img convert -f raw.",
    "It can be uploaded, but no virtual machine finds partitions or file systems on it.",
    "Get the inner file back, and convert that in its own format.",
)
PARTITIONS_4096 = Kind(
    "partition-table-4096",
    Level.WARNING,
    "The partition table is laid out for sectors of 4096 bytes",
    "Nothing; the bytes are read as they are.",
    "Azure presents sectors of 512 bytes: the guest finds no partitions, and cannot boot.",
    "Copy the file systems to a disk that was partitioned with 512-byte sectors.",
)
PARTITION_PAST_END = Kind(
    "partition-past-end",
    Level.WARNING,
    "The partition table reaches past the end of the disk",
    "The end of the disk is not in the file: it was cut before it was made a VHD, or its size is "
    "another one.",
    "The guest may refuse its file systems, or lose data.",
    "Compare the size of the disk with its origin, and convert or export it again.",
)

KINDS = (IMAGE_INSIDE, PARTITIONS_4096, PARTITION_PAST_END)
