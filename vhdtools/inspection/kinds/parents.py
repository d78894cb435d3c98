"""Kinds of findings about the backing chain of a differencing disk."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level
from vhdtools.reruns import PARENT_DIR, PARENT_FILE, RAW_PARENT, RAW_PARENT_FILE

ERROR, WARNING, INFO = Level.ERROR, Level.WARNING, Level.INFO

NO_READ = "Sectors that are not in this file cannot be read."
NO_UPLOAD = "It cannot be uploaded: Azure needs the whole disk in one blob."
NOTHING = "Nothing: the uploaded disk is whole, and has no parent."
FIND_IT = (PARENT_DIR, PARENT_FILE)
SEE_THAT_IT_IS_FOUND = "Nothing, if the parent is found all the same."

PARENT_MISSING = Kind(
    "parent-missing",
    ERROR,
    "The parent of a differencing disk was not found",
    NO_READ,
    NO_UPLOAD,
    "Copy the parent into the folder of the disk.",
    FIND_IT,
)
PARENT_WRONG = Kind(
    "parent-wrong-id",
    ERROR,
    "The parent that was found is another disk",
    "Sectors that are not in this file would come from another disk; they are not read.",
    NO_UPLOAD,
    "Copy the true parent into the folder of the disk.",
    FIND_IT,
)
PARENT_CYCLE = Kind(
    "parent-cycle",
    ERROR,
    "The chain of parents comes back to a disk that is in it already",
    "The chain has no end; nothing can be read.",
    NO_UPLOAD,
    "Copy the true parent into the folder of the disk.",
    FIND_IT,
)
PARENT_DEPTH = Kind(
    "parent-chain-too-long",
    ERROR,
    "The chain of parents is longer than any sane one",
    "The chain is not followed to its end; nothing can be read.",
    NO_UPLOAD,
    "Merge some of the disks into one with the program that made them.",
)
PARENT_TABLES = Kind(
    "parent-chain-too-large",
    ERROR,
    "The tables of the disks in the chain of parents take more memory than those of any sane one",
    "The chain is not followed to its end; nothing can be read.",
    NO_UPLOAD,
    "Merge some of the disks into one with the program that made them.",
)
PARENT_DAMAGED = Kind(
    "parent-damaged",
    ERROR,
    "A parent in the chain has errors of its own",
    NO_READ,
    NO_UPLOAD,
    "Inspect the parent by itself, and do what is said there.",
)
PARENT_RAW = Kind(
    "parent-raw",
    ERROR,
    "The parent's unique id is all zeros: the parent is a raw disk, or one without an id",
    "Such a file cannot be told from another one, so it is read only when you say so.",
    NO_UPLOAD,
    "",
    (RAW_PARENT, RAW_PARENT_FILE),
)
PARENT_UNNAMED = Kind(
    "parent-not-named",
    ERROR,
    "A differencing disk names no parent: it has no id, no name and no locator for one",
    NO_READ,
    NO_UPLOAD,
    "If it never had a parent, make a whole disk of it, with zeros where it holds nothing: "
    "`qemu-img convert --image-opts {vpc} -O vpc -o subformat=fixed,force_size=on "
    "{new:-fixed.vhd}`",
    (RAW_PARENT_FILE,),
)
PARENT_SEVERAL = Kind(
    "parent-ambiguous",
    ERROR,
    "Several files have the unique id of the parent, and none has its name",
    "Which of them the disk was made over is unknown; copies of one disk may differ.",
    NO_UPLOAD,
    "",
    (PARENT_FILE,),
)
PARENT_RAW_USED = Kind(
    "parent-raw-used",
    INFO,
    "The parent is a raw disk, used on your word",
    "Nothing proves that it is the right file.",
    NOTHING,
)
UNIQUE_ID_PARENTS = Kind(
    "unique-id-is-parents",
    WARNING,
    "The disk has the same unique id as its parent",
    "The parent cannot be told from the disk itself by its id; MiniVHD writes it so.",
    NOTHING,
    "Make sure that the parent that is shown is the right one.",
)
PARENT_NAME_LE = Kind(
    "parent-name-little-endian",
    WARNING,
    "The parent's name is written with its bytes swapped",
    "Read as UTF-16LE; other programs may not find the parent.",
    NOTHING,
    "For other programs, set the parent anew with the program that made the disk.",
)
PARENT_NAME_UNDECODABLE = Kind(
    "parent-name-undecodable",
    WARNING,
    "The parent's name is not text",
    "The parent is looked for by the parent locators alone.",
    NOTHING,
    SEE_THAT_IT_IS_FOUND,
    FIND_IT,
)
LOCATOR_UNKNOWN = Kind(
    "locator-unknown-code",
    WARNING,
    "A parent locator is of an unknown kind",
    "It is ignored.",
    NOTHING,
    SEE_THAT_IT_IS_FOUND,
    FIND_IT,
)
LOCATOR_OUTSIDE = Kind(
    "locator-outside-file",
    WARNING,
    "A parent locator points out of the file, or is far too long",
    "It is ignored.",
    NOTHING,
    SEE_THAT_IT_IS_FOUND,
    FIND_IT,
)
LOCATOR_UNDECODABLE = Kind(
    "locator-undecodable",
    WARNING,
    "A parent locator is not text",
    "It is ignored.",
    NOTHING,
    SEE_THAT_IT_IS_FOUND,
    FIND_IT,
)
LOCATOR_EMPTY = Kind(
    "locator-empty",
    WARNING,
    "A parent locator has no place or no length",
    "It is ignored.",
    NOTHING,
    SEE_THAT_IT_IS_FOUND,
    FIND_IT,
)
LOCATOR_RESERVED = Kind(
    "locator-reserved",
    WARNING,
    "Reserved bytes of a parent locator are not zero",
    "Ignored; some program keeps something there.",
    NOTHING,
    "Look at what is there: `vhdtool inspect --hex header {disk}`",
)
LOCATOR_UNUSED = Kind(
    "locator-unused-set",
    INFO,
    "A parent locator that is not in use has fields set",
    "It is ignored.",
    NOTHING,
)
LOCATOR_DUPLICATE = Kind(
    "locator-duplicate",
    INFO,
    "Two parent locators are of the same kind",
    "Both are tried.",
    NOTHING,
)
LOCATOR_NAME_DIFFERS = Kind(
    "locator-name-differs",
    INFO,
    "Parent name and parent locators name different files",
    "The one with the right unique id is used.",
    NOTHING,
)
PARENT_TIME_STAMP = Kind(
    "parent-time-stamp-differs",
    INFO,
    "The parent was written after the child was made, or copied",
    "If the parent was changed, not copied, the child shows a mixture of old and new data.",
    "Nothing, if the parent was only copied.",
)
PARENT_TIME_STAMP_FUTURE = Kind(
    "parent-time-stamp-future",
    INFO,
    "The parent's time stamp lies in the future",
    "Nothing; a clock was wrong, or the field counts otherwise.",
    NOTHING,
)
PARENT_SIZE = Kind(
    "parent-size-differs",
    INFO,
    "Parent and child have different virtual sizes",
    "The child was resized: beyond the parent's end it reads zeros.",
    NOTHING,
)

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, Kind))
