"""Kinds of findings about the dynamic disk header."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO

NO_BLOCKS = "Where the blocks are is unknown, or not to be believed; nothing can be read."
NO_UPLOAD = "Do not upload it: the data would be wrong or missing."
NOTHING = "Nothing: the uploaded disk is fixed, and has no dynamic disk header."
ANEW = "For other programs, write the disk anew with the program that made it."
LOOK = "Look at what is there: `vhdtool inspect --hex header {disk}`"

HEADER_OUTSIDE = Kind(
    "header-outside-file",
    ERROR,
    "The dynamic disk header is not in the file",
    NO_BLOCKS,
    NO_UPLOAD,
    "The file was cut, or its footer damaged: copy it again.",
)
HEADER_COOKIE = Kind(
    "header-cookie",
    ERROR,
    "There is no dynamic disk header where the footer says",
    NO_BLOCKS,
    NO_UPLOAD,
    "Copy or export the disk again from where it came from.",
)
HEADER_CHECKSUM = Kind(
    "header-checksum",
    ERROR,
    "The dynamic disk header has a wrong checksum",
    NO_BLOCKS,
    NO_UPLOAD,
    "Compare the fields with what you know of the disk; if they are right: `vhdtool repair "
    "{disk} --fix-checksum header --write`",
)
HEADER_VERSION = Kind(
    "header-version",
    ERROR,
    "The dynamic disk header is of another major version than 1",
    "What its fields mean is unknown.",
    NO_UPLOAD,
    "Convert the disk with the program that made it.",
)
HEADER_VERSION_MINOR = Kind(
    "header-version-minor",
    WARNING,
    "The dynamic disk header's minor version is not 0",
    "Read as version 1.0, which minor versions are promised to be compatible with.",
    NOTHING,
    "Compare the content after the upload with what the program that made the disk shows.",
)
HEADER_DATA_OFFSET = Kind(
    "header-data-offset",
    WARNING,
    "The dynamic disk header's data offset is not all ones",
    "Ignored: nothing is defined to be there.",
    NOTHING,
    LOOK,
)
HEADER_RESERVED = Kind(
    "header-reserved",
    WARNING,
    "Reserved bytes of the dynamic disk header are not zero",
    "Ignored; some program keeps something there.",
    NOTHING,
    LOOK,
)
BAT_UNALIGNED = Kind(
    "bat-unaligned",
    WARNING,
    "The BAT does not begin at a multiple of 512 bytes",
    "Read where it is. Other programs round its place down, and read garbage.",
    NOTHING,
    ANEW,
)
HEADER_UNALIGNED = Kind(
    "header-unaligned",
    WARNING,
    "The dynamic disk header does not begin at a multiple of 512 bytes",
    "Read where it is. Other programs may not find it.",
    NOTHING,
    ANEW,
)
BLOCK_SIZE = Kind(
    "block-size",
    ERROR,
    "The block size is not a power of two of at least 512 bytes",
    NO_BLOCKS,
    NO_UPLOAD,
    "Copy or export the disk again from where it came from.",
)
BLOCK_SIZE_UNUSUAL = Kind(
    "block-size-unusual",
    WARNING,
    "The block size is neither 2 MiB nor 512 KiB",
    "Nothing; programs that know 2 MiB alone (libvhdi, Hyper-V) misread or refuse the disk.",
    NOTHING,
    "For other programs, write it again in blocks of 2 MiB: `qemu-img convert --image-opts {vpc} "
    "-O vpc -o force_size=on {new:-2mib.vhd}`",
)
PARENT_ID_IN_DYNAMIC = Kind(
    "dynamic-with-parent-id",
    WARNING,
    "A dynamic disk carries the unique id of a parent",
    "It is read without a parent. If it was a differencing disk, data of the parent is missing.",
    "Make sure that the disk is complete before you upload it.",
    "Ask whoever made the disk whether it is the difference to another one.",
)
PARENT_FIELDS_IN_DYNAMIC = Kind(
    "dynamic-with-parent-fields",
    INFO,
    "A dynamic disk has fields set that only a differencing disk uses",
    "Ignored.",
    NOTHING,
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
