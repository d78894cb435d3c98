"""The SDK's own way: ``python -m benchmarks.sdk_upload DISK URL WORKERS [CA_FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from azure.storage.blob import BlobClient, BlobType


def main() -> None:
    """Upload a file with `upload_blob`."""
    disk, url, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    verify = sys.argv[4] if len(sys.argv) > 4 else True
    with disk.open("rb") as file, BlobClient.from_blob_url(url, connection_verify=verify) as blob:
        blob.upload_blob(
            file,
            blob_type=BlobType.PAGEBLOB,
            length=disk.stat().st_size,
            max_concurrency=workers,
            overwrite=True,
        )


if __name__ == "__main__":
    main()
