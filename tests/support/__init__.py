"""What several test modules share: the emulator, other programs that judge, and fixture disks."""
