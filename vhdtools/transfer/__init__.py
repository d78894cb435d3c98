"""Moving a disk to a target, and proving that it arrived."""

from __future__ import annotations

from vhdtools.transfer.job import UploadOptions
from vhdtools.transfer.result import UploadResult, VerifyResult
from vhdtools.transfer.retry import RetryPolicy

__all__ = ["RetryPolicy", "UploadOptions", "UploadResult", "VerifyResult"]
