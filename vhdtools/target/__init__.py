"""Where pages go: page blobs in Azure or its emulator, managed disks, and sparse local files."""
