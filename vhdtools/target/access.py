"""Credentials as the targets use them, whatever form they came in."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from azure.core.credentials import (
    AccessToken,
    AzureNamedKeyCredential,
    AzureSasCredential,
    TokenCredential,
)
from azure.core.exceptions import AzureError, ClientAuthenticationError

from vhdtools.errors import UsageError
from vhdtools.target.blob_address import BlobAddress, checked_sas

__all__ = ["Access", "Credential", "is_sas", "make_access"]

_SIGNATURE = re.compile(r"(?:^|[?&])sig=", re.IGNORECASE)

Credential: TypeAlias = str | AzureNamedKeyCredential | AzureSasCredential | TokenCredential | None
"""What a caller may give: a SAS or an account key as text, or azure.core's objects.

A SAS is told from a key by the parameter `sig=` in it; it may be given with the URL before it.
"""


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials sorted out: at most one of `key` and `sas`, and perhaps a `token`.

    A SAS together with a token is what managed disks secured by Microsoft Entra ID want.
    """

    key: AzureNamedKeyCredential | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)
    token: TokenCredential | None = field(default=None, repr=False)

    def renewed(self, fresh: Access) -> Access:
        """These credentials with `fresh` ones in their place; of a SAS and a token, the other."""
        if self.sas is None or self.token is None:
            return fresh
        return Access(fresh.key, fresh.sas or self.sas, fresh.token or self.token)


def make_access(address: BlobAddress, credential: Credential, sas: str | None) -> Access:
    """Sort out `credential` for the blob at `address`, whose URL carried `sas` or none.

    Raises UsageError where it cannot be a credential, or both a SAS and a key are given.
    """
    if isinstance(credential, AzureSasCredential):
        credential = credential.signature
    if isinstance(credential, str):
        credential = credential.strip()
        if is_sas(credential):
            given = checked_sas(address.url, credential)
            if sas is not None and sas != given:
                raise UsageError(address.url, "there is a SAS in the URL, and another was given")
            return Access(sas=given)
        credential = AzureNamedKeyCredential(address.account, credential)
    if credential is None:
        return Access(sas=sas)
    if isinstance(credential, AzureNamedKeyCredential):
        if sas is not None:
            raise UsageError(address.url, "there is a SAS in the URL, and an account key was given")
        _check_key(address, credential.named_key.key)
        return Access(key=credential)
    if not hasattr(credential, "get_token"):
        raise UsageError(
            address.url,
            f"a {type(credential).__name__} is not a credential",
            "Give a SAS, an account key, or an object with get_token, as azure-identity makes.",
        )
    return Access(sas=sas, token=_Token(credential))


def is_sas(credential: Credential) -> bool:
    """Whether it is a SAS, in either form. A key, being base64, may well contain `sig=`."""
    if isinstance(credential, AzureSasCredential):
        return True
    return isinstance(credential, str) and _SIGNATURE.search(credential.strip()) is not None


class _Token:
    """Somebody's token source, whose errors of any kind come out as azure.core's."""

    def __init__(self, source: TokenCredential) -> None:
        self._source = source

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return self._source.get_token(*scopes, **options)
        except (AzureError, OSError):
            raise
        except Exception as error:
            raise ClientAuthenticationError(f"{type(error).__name__}: {error}") from error


def _check_key(address: BlobAddress, key: str) -> None:
    try:
        valid = len(base64.b64decode(key, validate=True)) > 0
    except (binascii.Error, ValueError):
        valid = False
    if not valid:
        raise UsageError(
            address.url,
            "what was given as a credential is neither a SAS nor an account key",
            "An account key is base64: 88 characters that end with ==. A SAS has sig= in it.",
        )
