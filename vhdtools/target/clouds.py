"""Azure's clouds, by the names that the Azure CLI has for them (`az cloud list`)."""

from __future__ import annotations

from dataclasses import dataclass

from vhdtools.errors import UsageError
from vhdtools.inputs import refuse_secret, unquoted

__all__ = ["CLOUDS", "Cloud", "cloud_named", "cloud_of"]


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud: its name, what its storage hosts end with, and the host to sign in at.

    `authority` is "" where that is azure-identity's own default.
    """

    name: str
    storage_suffix: str
    authority: str


CLOUDS = (
    Cloud("AzureCloud", "core.windows.net", ""),
    Cloud("AzureUSGovernment", "core.usgovcloudapi.net", "login.microsoftonline.us"),
    Cloud("AzureChinaCloud", "core.chinacloudapi.cn", "login.chinacloudapi.cn"),
)
"""The clouds in operation. (AzureGermanCloud was closed in 2021.)"""

# What other tools call them in the same variable: Velero, Kubernetes, the Go and .NET SDKs.
_ALIASES = {
    "azurepubliccloud": "azurecloud",
    "azureusgovernmentcloud": "azureusgovernment",
}


def cloud_named(where: str, name: str) -> Cloud:
    """The cloud of that name, in any case, as the option or variable `where` gives it.

    Raises UsageError for another.
    """
    refuse_secret(where, name)
    wanted = unquoted(name).lower()
    for cloud in CLOUDS:
        if cloud.name.lower() == _ALIASES.get(wanted, wanted):
            return cloud
    raise UsageError(
        where,
        f"there is no cloud {unquoted(name)!r}",
        f"Choose {', '.join(cloud.name for cloud in CLOUDS)}. For any other, such as Azure Stack "
        "Hub, give the blob's whole URL, or set AZURE_STORAGE_SERVICE_ENDPOINT to the URL of the "
        "account's blob service.",
    )


def cloud_of(host: str) -> Cloud | None:
    """The cloud that a storage host is in, None where its name does not tell."""
    return next((cloud for cloud in CLOUDS if host.endswith(f".{cloud.storage_suffix}")), None)
