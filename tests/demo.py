"""The whole path once, for people to watch: inspect a disk, upload it, and prove the blob equal.

Run by ``make demo``. The account is Azurite's, Azure Storage's emulator on this machine.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from tests.support.azurite import start_azurite
from tests.support.disks import SAMPLE_DISKS, unpack

SAMPLE = "disks/dynamic-gpt-fat-ext4.vhd"
CONTAINER = "vhds"
BLOB = "demo.vhd"
FOOTER_SIZE = 512


def main() -> None:
    """Run the demonstration in a temporary folder; exit with the code of a command that fails."""
    with tempfile.TemporaryDirectory() as name, start_azurite() as azurite:
        folder = Path(name)
        disk = unpack(SAMPLE, folder).rename(folder / "disk.vhd")
        with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
            service.create_container(CONTAINER).close()
            # Commands find the account in their environment, and vhdtool beside this Python.
            os.environ["AZURE_STORAGE_CONNECTION_STRING"] = azurite.connection_string
            os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

            say(f"The disk, disk.vhd here: {SAMPLE_DISKS[SAMPLE].description}")
            say(f"The account: Azurite at {azurite.endpoint}, named in the environment.")
            run(folder, "vhdtool", "inspect", disk.name)
            run(folder, "vhdtool", "upload", disk.name, f"{CONTAINER}/{BLOB}")
            run(folder, "vhdtool", "verify", disk.name, f"{CONTAINER}/{BLOB}")
            with service.get_blob_client(CONTAINER, BLOB) as blob:
                content = blob.download_blob().readall()
        compare(folder, disk, content)


def compare(folder: Path, disk: Path, blob: bytes) -> None:
    """Compare the blob's bytes with what qemu-img, a program of its own, makes of *disk*."""
    guest, footer = blob[:-FOOTER_SIZE], blob[-FOOTER_SIZE:]
    if shutil.which("qemu-img") is None:
        say("qemu-img is not installed, so its word is taken from when the disk was made.")
        expected = SAMPLE_DISKS[SAMPLE].guest_sha256
    else:
        run(folder, "qemu-img", "convert", "-f", "vpc", "-O", "raw", disk.name, "disk.raw")
        expected = hashlib.sha256((folder / "disk.raw").read_bytes()).hexdigest()
    found = hashlib.sha256(guest).hexdigest()
    checksum = ~(sum(footer) - sum(footer[64:68])) & 0xFFFFFFFF
    say(
        f"SHA-256 of what qemu-img reads:     {expected}",
        f"SHA-256 of the blob but its footer: {found}",
        f"checksum in the blob's footer:      {footer[64:68].hex()}, computed {checksum:08x}",
    )
    if found != expected or checksum != int.from_bytes(footer[64:68], "big"):
        sys.exit("The blob differs from the disk.")
    say(f"Equal: {len(guest):,} bytes of the disk, and a fixed footer after them.")


def say(*lines: str) -> None:
    """Print lines before whatever a command prints next."""
    print("", *lines, sep="\n", flush=True)


def run(folder: Path, *command: str) -> None:
    """Show a command as one would type it, and run it in *folder*."""
    say(f"$ {shlex.join(command)}")
    done = subprocess.run(command, cwd=folder, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
