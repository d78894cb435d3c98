"""Kinds of findings about the footer, its copy, and the sizes it gives."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level
from vhdtools.reruns import BASE_END, BASE_START, SIZE_CURRENT, SIZE_GEOMETRY

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO

NEW_FOOTER = "vhdtool upload writes a new, right footer; a plain upload is at risk."
NOTHING = "Nothing: the uploaded footer is made anew."

FOOTER_MISSING = Kind(
    "footer-missing",
    ERROR,
    "There is no footer, neither at the end nor as a copy at the start",
    "Size and type of the disk are unknown; nothing can be read.",
    "Azure refuses the blob: it looks for 'conectix' in the last 512 bytes.",
    "If it was a VHD, it was cut: copy it again. If it is a part of a split one (.vhd, .v01, …), "
    "join the parts in their order.",
)
FOOTER_COOKIE = Kind(
    "footer-cookie",
    ERROR,
    "The only footer does not begin with 'conectix'",
    "Size and type of the disk cannot be trusted.",
    "Azure refuses the blob: it looks for 'conectix' in the last 512 bytes.",
    "Compare the first 512 and the last 512 bytes with the disk's origin: `vhdtool inspect "
    "--hex footer {disk}`",
)
FOOTER_CHECKSUM = Kind(
    "footer-checksum",
    ERROR,
    "No footer has a right checksum",
    "Size and type of the disk cannot be trusted.",
    "Azure refuses a footer whose checksum is wrong.",
    "Compare the fields with what you know of the disk; if they are right: `vhdtool repair "
    "{disk} --fix-checksum footer --write`",
)
DISK_DISABLED = Kind(
    "disk-disabled",
    ERROR,
    "The disk was disabled: its footer's cookie is v_poison",
    "Xen's blktap marks a disk so when its content must not be used any more.",
    "Do not upload it.",
    "Ask the Xen host's administrator what failed before the disk is used.",
)
END_FOOTER_MISSING = Kind(
    "end-footer-missing",
    WARNING,
    "The footer at the end is missing; the copy at the start is good",
    "The copy is used. The file may have been cut, so look at the other findings.",
    NEW_FOOTER,
    "`vhdtool repair {disk} --write`",
)
END_FOOTER_DAMAGED = Kind(
    "end-footer-damaged",
    WARNING,
    "The footer at the end has a wrong checksum; the copy at the start is good",
    "The copy is used.",
    NEW_FOOTER,
    "`vhdtool repair {disk} --write`",
)
FOOTER_COPY_MISSING = Kind(
    "footer-copy-missing",
    WARNING,
    "The footer's copy at the start is missing; the one at the end is good",
    "The footer at the end is used. Programs that trust the copy (qemu) refuse the disk.",
    NOTHING,
    "`vhdtool repair {disk} --write`",
)
FOOTER_COPY_DAMAGED = Kind(
    "footer-copy-damaged",
    WARNING,
    "The footer's copy at the start has a wrong checksum; the one at the end is good",
    "The footer at the end is used. Programs that trust the copy (qemu) refuse the disk.",
    NOTHING,
    "`vhdtool repair {disk} --write`",
)
FOOTERS_DIFFER = Kind(
    "footers-differ",
    WARNING,
    "The footer and its copy are both valid, and differ",
    "The footer at the end is used. Other programs may use the copy, and see another disk.",
    "Make sure that the size at the end is the right one before you upload.",
    "Find out which of them is right, and make the other one equal: `vhdtool repair {disk} --use "
    "end --write` or `vhdtool repair {disk} --use copy --write`",
)
FOOTER_511 = Kind(
    "footer-511-bytes",
    WARNING,
    "The footer has 511 bytes, as old Virtual PC wrote it",
    "Read as if the last, reserved byte were there.",
    NEW_FOOTER,
    "`vhdtool repair {disk} --write`",
)
FOOTER_MISPLACED = Kind(
    "footer-misplaced",
    WARNING,
    "The file was made longer behind the footer, which is far from its end",
    "The disk ends at that footer; what follows it is ignored. Programs that look in the last 512 "
    "bytes take the file for a raw disk.",
    NEW_FOOTER,
    "For other programs, make a copy that ends at the footer: `head -c SIZE {disk} > NEW.vhd`",
)
TRAILING_BYTES = Kind(
    "trailing-bytes",
    WARNING,
    "There are bytes after the footer",
    "They are ignored. Programs that look in the last 512 bytes find no footer.",
    NEW_FOOTER,
    "For other programs, make a copy that ends at the footer: `head -c SIZE {disk} > NEW.vhd`",
)
FOOTER_VERSION = Kind(
    "footer-version",
    ERROR,
    "The footer is of another major version than 1",
    "What its fields mean is unknown.",
    "Azure takes version 1.0 alone.",
    "Convert the disk with the program that made it.",
)
FOOTER_VERSION_MINOR = Kind(
    "footer-version-minor",
    WARNING,
    "The footer's minor version is not 0",
    "Read as version 1.0, which minor versions are promised to be compatible with.",
    NEW_FOOTER,
    "If the size and the type that are shown are right, upload it with vhdtool upload.",
)
DISK_TYPE = Kind(
    "disk-type",
    ERROR,
    "The disk type is none that is in use",
    "Only fixed (2), dynamic (3) and differencing (4) disks can be read.",
    "Azure takes fixed disks; vhdtool upload makes one of the other two.",
    "Compare the disk with its origin, or convert it with the program that made it.",
)
DISK_TYPE_CONTRADICTED = Kind(
    "disk-type-contradicted",
    ERROR,
    "The disk type and the rest of the file contradict each other",
    "Reading it as the type that is written would give wrong data.",
    "Do not upload it before the type is known.",
    "Find out from the disk's origin whether it is fixed or dynamic.",
)
SIZE_ZERO = Kind(
    "size-zero",
    ERROR,
    "The virtual size is 0",
    "There is nothing to read.",
    "Azure takes no disk under 20 MiB.",
    "Copy or export the disk again from where it came from.",
)
SIZE_OVER_LIMIT = Kind(
    "size-over-limit",
    ERROR,
    "The virtual size is above what the format can hold",
    "Programs stop at 2040 GiB. A size that the BAT does not cover is not to be believed.",
    "It cannot be uploaded as it is.",
    "Copy or export the disk again from where it came from.",
)
SIZE_NOT_SECTORS = Kind(
    "size-not-sectors",
    WARNING,
    "The virtual size is not a multiple of 512 bytes",
    "The last sector is partial; it is completed with zeros.",
    "vhdtool upload pads the disk to a whole MiB; a plain upload cannot succeed.",
    "Upload it with vhdtool upload, or resize it to whole MiB with the program that made it.",
)
SIZE_NOT_MIB = Kind(
    "size-not-mib",
    INFO,
    "The virtual size is not a whole number of MiB",
    "Nothing.",
    "vhdtool upload pads the disk to a whole MiB; a plain upload is refused by Azure.",
)
FIXED_WITHOUT_END = Kind(
    "fixed-without-end",
    ERROR,
    "A fixed disk's footer stands at the start of the file, and none at its end",
    "A fixed disk has no copy of its footer, so what this is cannot be told.",
    "Do not upload it before it is known what the file is.",
    "Copy or export the disk again from where it came from.",
)
FIXED_TOO_SHORT = Kind(
    "fixed-too-short",
    ERROR,
    "The file of a fixed disk is shorter than the disk",
    "The end of the disk is missing.",
    "Do not upload it: the guest would see zeros, or nothing, where data was.",
    "The file was cut: copy it again.",
)
FIXED_TOO_LONG = Kind(
    "fixed-too-long",
    WARNING,
    "The file of a fixed disk is longer than the disk and its footer",
    "Whether the disk begins at byte 0 or ends before the footer: its partition table shows, or "
    "--fixed-base says.",
    "Where neither tells, vhdtool upload refuses to guess: say --fixed-base start or "
    "--fixed-base end.",
    "",
    (BASE_START, BASE_END),
)
FIXED_DATA_OFFSET = Kind(
    "fixed-data-offset",
    WARNING,
    "A fixed disk's data offset is not all ones",
    "Ignored: a fixed disk has no dynamic disk header.",
    NEW_FOOTER,
    "If the size that is shown is right, upload it with vhdtool upload.",
)
FEATURE_RESERVED = Kind(
    "feature-reserved-clear",
    WARNING,
    "Feature bit 1, which is always set, is clear",
    "Ignored. Virtual PC for Mac before version 7 wrote it so.",
    NEW_FOOTER,
    "Nothing has to be done if Virtual PC for Mac made the disk; else compare it with its origin.",
)
FEATURES_UNKNOWN = Kind(
    "features-unknown",
    WARNING,
    "There are feature bits that the specification does not know",
    "Ignored; the program that set them may have meant something.",
    NEW_FOOTER,
    "Find out what the program that made the disk means by them.",
)
TEMPORARY = Kind(
    "temporary-disk",
    INFO,
    "The disk is marked as temporary",
    "Its owner may delete it at shutdown.",
    NOTHING,
)
SAVED_STATE = Kind(
    "saved-state",
    WARNING,
    "The virtual machine was in a saved state",
    "What its memory held is not in this disk; file systems may be in the middle of a change.",
    "Shut the machine down before its disk is uploaded.",
    "Resume the virtual machine, and shut it down.",
)
UNIQUE_ID_NULL = Kind(
    "unique-id-null",
    WARNING,
    "The unique id is all zeros",
    "A child of this disk cannot tell it from another one.",
    "The uploaded footer gets the same id; Azure does not use it.",
    "Before you make a child of it, give it an id with the program that made it.",
)
TIME_STAMP_FUTURE = Kind(
    "time-stamp-future",
    WARNING,
    "The disk was made in the future",
    "Nothing; a clock was wrong, or the time stamp is damaged.",
    "Nothing.",
    "Check the clock of the machine that made the disk.",
)
TIME_STAMP_UNIX = Kind(
    "time-stamp-unix",
    INFO,
    "The time stamp counts from 1970 instead of 2000",
    "Nothing; Xen Orchestra writes it so.",
    "Nothing.",
)
FOOTER_RESERVED = Kind(
    "footer-reserved",
    WARNING,
    "Reserved bytes of the footer are not zero",
    "Ignored; some program keeps something there.",
    NEW_FOOTER,
    "Compare the footer with its origin if you do not know what wrote there: `vhdtool inspect "
    "--hex footer {disk}`",
)
HIDDEN = Kind(
    "hidden-byte",
    INFO,
    "Byte 85 is set, where Xen's tapdisk marks hidden disks",
    "Nothing; to Xen it is an inner part of a chain.",
    NOTHING,
)
CHECKSUM_WITHOUT_HIDDEN = Kind(
    "checksum-without-hidden",
    INFO,
    "The footer's checksum leaves out the hidden byte, as old tapdisks computed it",
    "Nothing; the footer is as that program wrote it. Others call the checksum wrong.",
    NOTHING,
)
CREATOR_UNKNOWN = Kind(
    "creator-unknown",
    INFO,
    "The program that made the disk is not a known one",
    "Its size is taken from the footer's current size.",
    NOTHING,
)
CREATOR_VERSION = Kind(
    "creator-version",
    INFO,
    "The disk was made by a tapdisk newer than any known one",
    "Read as by version 1.3.",
    NOTHING,
)
GEOMETRY_BELOW = Kind(
    "geometry-below-size",
    INFO,
    "The geometry amounts to less than the current size",
    "Programs that go by the geometry see a smaller disk.",
    "The uploaded footer carries a geometry that fits.",
)
GEOMETRY_ABOVE = Kind(
    "geometry-above-size",
    INFO,
    "The geometry amounts to more than the current size",
    "Programs that go by the geometry see a larger disk.",
    "The uploaded footer carries a geometry that fits.",
)
SIZE_BY_GEOMETRY = Kind(
    "size-by-geometry",
    INFO,
    "The virtual size is the geometry's, not the current size",
    "What the file shows, the program that made it, or --size-rule speaks for the geometry.",
    "The uploaded disk has the virtual size, padded to a whole MiB.",
    "The other size is chosen by --size-rule current.",
)
SIZE_BY_CURRENT = Kind(
    "size-by-current",
    INFO,
    "The virtual size is the current size, though programs may go by the geometry here",
    "What the file shows, or --size-rule, speaks for the current size.",
    "The uploaded disk has the virtual size, padded to a whole MiB.",
    "The other size is chosen by --size-rule geometry.",
)
SIZE_UNDECIDED = Kind(
    "size-undecided",
    ERROR,
    "The disk may have either of its sizes, and the bytes between them are not all zeros",
    "By the smaller size data would be missing; by the larger one the disk does not end where its "
    "partition table says.",
    "vhdtool upload refuses to guess: say --size-rule current or --size-rule geometry.",
    "Find out which size the machine sees that used the disk.",
    (SIZE_CURRENT, SIZE_GEOMETRY),
)
ORIGINAL_SIZE = Kind(
    "original-size-differs",
    INFO,
    "The disk had another size when it was made",
    "Nothing; it was resized. Programs that go by the original size are wrong.",
    "Nothing.",
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
