"""The checks: pure functions from what was found to findings. None of them stops another."""
