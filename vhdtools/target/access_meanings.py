"""What it means that the blob service grants no access: 401 and 403, by code and by detail."""

from __future__ import annotations

import re

from vhdtools.errors import AccessError
from vhdtools.target.remedies import LOG_IN, NETWORK, NEW_SAS, ROLE, Meaning

__all__ = ["ACCESS_CODES", "ACCESS_DETAILS"]

_KEY_VAULT = Meaning(
    AccessError,
    "the account is encrypted with a customer-managed key that the service cannot get: {detail}",
    "Give the account access to its key again. This shows which key it is: `az storage account "
    "show --name {account} --query encryption`.",
)
ACCESS_CODES: dict[str, Meaning] = {
    "NoAuthenticationInformation": Meaning(
        AccessError,
        "the service needs credentials, and there are none",
        "Give a URL with a SAS, a connection string or an account key, or sign in with `az login`.",
    ),
    "InvalidAuthenticationInfo": Meaning(
        AccessError, "the token or signature is not valid: {detail}", LOG_IN
    ),
    "AuthenticationFailed": Meaning(
        AccessError,
        "the service did not recognize the credentials: {detail}",
        "Check that the account key or SAS belongs to account {account} and is whole.",
    ),
    "AuthorizationFailure": Meaning(
        AccessError,
        "the credentials, or the network this machine is in, are not allowed here: {detail}",
        NETWORK,
    ),
    "AuthorizationPermissionMismatch": Meaning(
        AccessError, "the credentials do not allow this operation", ROLE
    ),
    "InsufficientAccountPermissions": Meaning(
        AccessError, "the account or its credentials do not allow this operation", ROLE
    ),
    "AuthorizationSourceIPMismatch": Meaning(
        AccessError,
        "the SAS does not allow this machine's address: {detail}",
        "Make a SAS without, or with a wider, --ip.",
    ),
    "AuthorizationProtocolMismatch": Meaning(
        AccessError, "the SAS allows https only", "Use the https URL."
    ),
    "AuthorizationServiceMismatch": Meaning(
        AccessError, "the account SAS is not for blobs", "Make one with --services b."
    ),
    "AuthorizationResourceTypeMismatch": Meaning(
        AccessError,
        "the account SAS does not cover blobs themselves",
        "Make one with --resource-types co.",
    ),
    "KeyBasedAuthenticationNotPermitted": Meaning(
        AccessError,
        "the account allows neither keys nor what is signed with them",
        "Sign in with `az login`, and give the URL without a SAS.",
    ),
    "PublicAccessNotPermitted": Meaning(
        AccessError,
        "the account allows no access without credentials",
        "Give a URL with a SAS, or sign in with `az login`.",
    ),
    "AccountIsDisabled": Meaning(
        AccessError,
        "the storage account is disabled",
        "The subscription may be disabled, for instance because its credit ran out: `az account "
        "list --query '[].[name,state]' --output table`. Its owner can enable it.",
    ),
    **dict.fromkeys(
        (
            "KeyVaultAccessTokenCannotBeAcquired",
            "KeyVaultEncryptionKeyNotFound",
            "KeyVaultVaultNotFound",
        ),
        _KEY_VAULT,
    ),
}

# AuthenticationFailed says in its detail what it means.
ACCESS_DETAILS: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (
        re.compile("not valid in the specified time|signed expiry time", re.IGNORECASE),
        Meaning(AccessError, "the SAS has expired, or is not valid yet", NEW_SAS),
    ),
    (
        re.compile("lifetime validation|token is expired|token has expired", re.IGNORECASE),
        Meaning(AccessError, "the token has expired", LOG_IN),
    ),
    (
        re.compile("date header", re.IGNORECASE),
        Meaning(
            AccessError,
            "this machine's clock differs too much from the service's",
            "Set the clock right.",
        ),
    ),
    (
        re.compile("did not match|not match the MAC|signature fields", re.IGNORECASE),
        Meaning(
            AccessError,
            "the signature is wrong",
            "Check that the account key or SAS is for account {account}, and is whole: put a URL "
            "with a SAS between quotation marks.",
        ),
    ),
)
