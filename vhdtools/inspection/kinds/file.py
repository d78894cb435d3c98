"""Kinds of findings about the file as a whole: whether it is a VHD, and can be read."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level

FILE_UNREADABLE = Kind(
    "file-unreadable",
    Level.ERROR,
    "The file cannot be read",
    "Nothing can be said about the disk, or about the part that could not be read.",
    "It cannot be uploaded.",
    "Check the path, your permissions, and the disk or network share that holds the file.",
)
EMPTY_FILE = Kind(
    "empty-file",
    Level.ERROR,
    "The file is empty",
    "There is nothing to read.",
    "It cannot be uploaded.",
    "Copy the disk again from where it came from.",
)
NOT_A_VHD = Kind(
    "not-a-vhd",
    Level.ERROR,
    "The file is not a VHD",
    "Nothing is read as a VHD.",
    "Azure takes VHDs alone; convert it first.",
    "Convert or unpack it, as the message says.",
)
FILE_CUT = Kind(
    "file-cut",
    Level.ERROR,
    "The file was cut: its partition table, or its length, shows that a part is missing",
    "Nothing is read: the end of the disk, or another part of it, is not there.",
    "It cannot be uploaded, and must not be converted: what is missing would become zeros.",
    "Copy or export it again from where it came from.",
)
FILE_CHANGED = Kind(
    "file-changed",
    Level.ERROR,
    "The file was written to while it was inspected",
    "What was found may be a mixture of old and new.",
    "Stop whatever uses the disk before it is uploaded.",
    "Shut down the virtual machine, or whatever writes to the disk, and inspect it again.",
)

KINDS = (FILE_UNREADABLE, EMPTY_FILE, NOT_A_VHD, FILE_CUT, FILE_CHANGED)
