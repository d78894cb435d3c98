"""Kinds of findings about where things lie: the BAT, the blocks, the batmap, other regions."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level
from vhdtools.reruns import BITMAPS_COUNT, DATA_COUNTS

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO

NO_UPLOAD = "Do not upload it: the data would be wrong or missing."
NOTHING = "Nothing: the uploaded disk is fixed, and has neither BAT nor blocks."
XEN_CHECK = "On a Xen host, check the disk with vhd-util check before it is used there again."

REGIONS_OVERLAP = Kind(
    "regions-overlap",
    ERROR,
    "Headers, BAT, batmap or parent locators lie over each other",
    "At least one of them is overwritten; which one cannot be told.",
    NO_UPLOAD,
    "Copy or export the disk again from where it came from.",
)
BAT_TOO_SMALL = Kind(
    "bat-too-small",
    ERROR,
    "The BAT has too few entries for the disk's size",
    "The end of the disk cannot be found.",
    NO_UPLOAD,
    "Copy or export the disk again from where it came from.",
)
BAT_OUTSIDE = Kind(
    "bat-outside-file",
    ERROR,
    "The BAT is not wholly in the file",
    "Where the blocks are is unknown; nothing can be read.",
    NO_UPLOAD,
    "The file was cut, or its header damaged: copy it again.",
)
BAT_TOO_LARGE = Kind(
    "bat-too-large",
    ERROR,
    "The disk has more blocks than vhdtools reads",
    "The disk cannot be read within bounded memory.",
    "Convert it to a block size of 2 MiB first.",
    "Convert it to larger blocks: `qemu-img convert --image-opts {vpc} -O vpc -o force_size=on "
    "{new:-2mib.vhd}`",
)
BLOCK_OVER_METADATA = Kind(
    "block-over-metadata",
    ERROR,
    "A block lies over headers, BAT, batmap or parent locators",
    "What the guest reads there is not what it wrote.",
    NO_UPLOAD,
    "Copy or export the disk again from where it came from.",
)
BLOCK_PAST_END = Kind(
    "block-past-end",
    ERROR,
    "A block reaches past the end of the data, into the footer or out of the file",
    "Its data is missing or overwritten, in part or wholly. The file was probably cut.",
    NO_UPLOAD,
    "The file was cut: copy it again.",
)
BLOCKS_OVERLAP = Kind(
    "blocks-overlap",
    ERROR,
    "Two blocks lie over each other",
    "At least one of them holds the other's data.",
    NO_UPLOAD,
    "Restore the disk from a backup, or export it again from where it came from.",
)
BAT_EXTRA = Kind(
    "bat-extra-entries",
    INFO,
    "The BAT has more entries than the disk needs",
    "The rest is ignored: the disk ends at its virtual size.",
    NOTHING,
)
BAT_ZERO_PADDING = Kind(
    "bat-padding-zero",
    INFO,
    "The BAT is padded with zeros instead of ones",
    "Nothing: padding is not read.",
    NOTHING,
)
BAT_UNSORTED = Kind(
    "bat-unsorted",
    INFO,
    "The blocks are not in the order of the disk",
    "Nothing; reading from the first to the last byte jumps about in the file.",
    NOTHING,
)
BLOCK_GAPS = Kind(
    "block-gaps",
    INFO,
    "There is unused space between the blocks",
    "Nothing; it is there for alignment, or left from blocks that were dropped.",
    NOTHING,
)
BATMAP = Kind(
    "batmap",
    INFO,
    "There is a batmap, Xen's list of blocks that are full",
    "A block that it calls full is read whole, whatever its sector bitmap says, as Xen reads it.",
    NOTHING,
)
BATMAP_DAMAGED = Kind(
    "batmap-damaged",
    WARNING,
    "The batmap is damaged, or of an unknown version",
    "It is ignored: the sector bitmaps are read.",
    NOTHING,
    XEN_CHECK,
)
BATMAP_CONTRADICTS = Kind(
    "batmap-contradicts-bat",
    WARNING,
    "The batmap calls blocks full that the file does not hold",
    "The batmap is ignored: the BAT counts.",
    NOTHING,
    XEN_CHECK,
)
ENCRYPTED = Kind(
    "encryption-key-set",
    WARNING,
    "The disk is encrypted by tapdisk: its batmap holds a hash of the key",
    "Blocks are read as they are stored, encrypted.",
    "The guest in Azure would see encrypted data; decrypt the disk first.",
    "Decrypt the disk on the Xen host that encrypted it.",
)
BITMAP_CLEAR_DATA = Kind(
    "bitmap-clear-over-data",
    ERROR,
    "Sectors that the bitmap calls never written hold data",
    "VirtualBox reads them as zeros (in a differencing disk: from the parent), qemu reads the "
    "data; vhdtools reads neither before it is said which counts.",
    "vhdtool upload stops at such a sector: zeros instead of data would be a loss.",
    "Find out whether the program that used the disk wrote bitmaps: old Xen Orchestra and MiniVHD "
    "did not.",
    (BITMAPS_COUNT, DATA_COUNTS),
)
BLOCKS_ALL_ZERO = Kind(
    "blocks-all-zero",
    INFO,
    "Some blocks hold nothing but zeros",
    "Nothing; the file could be smaller.",
    "Nothing: zeros are not sent.",
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
