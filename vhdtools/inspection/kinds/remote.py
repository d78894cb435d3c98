"""Kinds of findings about a disk that already is in a page blob."""

from __future__ import annotations

from vhdtools.inspection.finding import Kind, Level

BLOB_UNREADABLE = Kind(
    "blob-unreadable",
    Level.ERROR,
    "The page blob cannot be read",
    "Nothing can be said about the disk in it, or about the part that could not be read.",
    "Whether Azure can use it as a disk is not known.",
    "Inspect it again when the service and the network respond.",
)
UPLOAD_UNFINISHED = Kind(
    "upload-unfinished",
    Level.ERROR,
    "An upload to this page blob is not finished",
    "What lies behind the checkpoint is missing, or not to be trusted.",
    "Do not make a disk of it yet.",
    "Run the same vhdtool upload again: it goes on where it stopped.",
)
BLOB_LEASED = Kind(
    "blob-leased",
    Level.WARNING,
    "Somebody holds a lease on the page blob",
    "It may be written to right now, or be the disk of a virtual machine.",
    "It cannot be replaced before the lease ends.",
    "See who uses it before you change it.",
)
BLOB_EMPTY = Kind(
    "blob-empty",
    Level.WARNING,
    "No page of the blob was ever written",
    "All of it reads as zeros, the footer too.",
    "Azure makes no disk of it.",
    "Upload a disk to it: vhdtool upload",
)

KINDS = (BLOB_UNREADABLE, UPLOAD_UNFINISHED, BLOB_LEASED, BLOB_EMPTY)
