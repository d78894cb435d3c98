"""About the least that a command can take: start, read what is to be sent, digest it, push it.

``python -m benchmarks.bare PLACES FIXED_VHD URL CONNECTIONS [CA_FILE]``: creates the blob with
azure-storage-blob and sends what the file holds at the places, one "OFFSET LENGTH" a line. It is
`limit` with what no uploader is spared: starting Python, the SDK, the file and the checksums.
"""

from __future__ import annotations

import sys
from pathlib import Path

from azure.storage.blob import BlobClient

from benchmarks.push import push_file
from vhdtools.ranges import PageRange


def main() -> None:
    """Push the named places of a file."""
    listed, disk, url, connections = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:5]
    ca_file = Path(sys.argv[5]) if len(sys.argv) > 5 else None
    lines = listed.read_text(encoding="ascii").splitlines()
    places = [PageRange(*map(int, line.split())) for line in lines]
    with BlobClient.from_blob_url(url, connection_verify=str(ca_file or True)) as blob:
        blob.create_page_blob(places[-1].end)
    push_file(disk, places, url, int(connections), ca_file)


if __name__ == "__main__":
    main()
