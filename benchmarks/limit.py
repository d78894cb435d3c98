"""The limit: what an upload sends, already in memory, pushed by a bare client.

``python -m benchmarks.limit DISK URL CONNECTIONS [CA_FILE]``: creates the blob, pushes, and prints
the seconds that the pushing took. Everything before the first byte is not counted.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from azure.storage.blob import BlobClient

from benchmarks.push import push
from benchmarks.recording import recorded_writes


def main() -> None:
    """Push what an upload of a disk sends."""
    disk, url, connections = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    ca_file = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    writes = recorded_writes(disk)
    with BlobClient.from_blob_url(url, connection_verify=str(ca_file or True)) as blob:
        blob.create_page_blob(writes[-1].offset + len(writes[-1].data))
    gc.freeze()
    seconds = push(writes, url, connections, ca_file)
    sent = sum(len(write.data) for write in writes)
    print(json.dumps({"elapsed_seconds": seconds, "sent_bytes": sent, "requests": len(writes)}))


if __name__ == "__main__":
    main()
