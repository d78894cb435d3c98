"""What a user can do about a refusal of the blob service: texts with commands that can be pasted.

Braces stand for what `service_errors.command_names` tells of a blob, quoted for a shell. Words in
capitals are for the user to fill in. Options are those of the Azure CLI's reference.
"""

from __future__ import annotations

from dataclasses import dataclass

from vhdtools.errors import TargetError

__all__ = [
    "DISK_ACCESS",
    "IMMUTABLE",
    "INFINITE_LEASE",
    "LOG_IN",
    "NETWORK",
    "NEW_SAS",
    "OTHER_ACCOUNT",
    "OTHER_WRITER",
    "PAGE_BLOB_OF_IT",
    "READABLE_DISK",
    "REPORT",
    "ROLE",
    "Meaning",
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """Class, problem and remedy.

    In the problem {detail} is the answer's; in the remedy {account}, {blob}, … are the blob's.
    """

    kind: type[TargetError]
    problem: str
    remedy: str = ""


NEW_SAS = (
    "Make a new SAS with `az storage blob generate-sas {signed} --container-name {container} "
    "--name={blob} --permissions racw --expiry {tomorrow} --full-uri --output tsv`, or sign in "
    "with `az login` and give the URL without a SAS."
)
"""For `az storage blob generate-sas`; {tomorrow} is a day ahead by the service's clock."""
ROLE = (
    "A signed-in identity needs the role Storage Blob Data Contributor on the account or the "
    "container; a SAS needs the permissions racw."
)
NETWORK = (
    "See whether the account's firewall allows this machine's address: `az storage account show "
    "--name {account} --query networkRuleSet`, and whether public network access is enabled: `az "
    "storage account show --name {account} --query publicNetworkAccess`."
)
OTHER_WRITER = (
    "Wait until the other program is done. The lease of an upload that died ends within a minute: "
    "then run the same command again."
)
INFINITE_LEASE = (
    "Leave the lease alone: breaking it can damage a running machine. Choose another name, or "
    "delete the machine or disk that uses the blob. This finds a machine whose disk it is: `az vm "
    "list --query {vm_query} --output tsv`."
)
"""An infinite lease is what Azure puts on the blob of an unmanaged disk that is in use."""
PAGE_BLOB_OF_IT = (
    "A blob's type cannot be changed. To upload a disk, choose another name. To make a page blob "
    "of what is there, download it: `az storage blob download {place} --container-name "
    "{container} --name={blob} --file {file}`, then upload it under another name: `vhdtool upload "
    "{file} {new_url}`."
)
READABLE_DISK = (
    "When its upload is done, end it: `az disk revoke-access --resource-group GROUP --name DISK`. "
    "This gives a URL that can be read: `az disk grant-access --access-level Read "
    "--duration-in-seconds 86400 --resource-group GROUP --name DISK`."
)
DISK_ACCESS = (
    "Get a new upload SAS: `az disk grant-access --access-level Write --duration-in-seconds 86400 "
    "--resource-group GROUP --name DISK`. A disk that is secured by Microsoft Entra ID needs a "
    "signed-in identity as well: set AZURE_STORAGE_AUTH_MODE=login."
)
REPORT = (
    "This is a fault of vhdtools or of something between it and the service: report it to the "
    "maintainers."
)
LOG_IN = "Sign in again: `az login`."
OTHER_ACCOUNT = (
    "Use an account that has page blobs, such as one made by `az storage account create --name "
    "NEWACCOUNT --resource-group GROUP --kind StorageV2 --sku Standard_LRS`."
)
IMMUTABLE = (
    "Use a container without a policy or legal hold, such as a new one: `az storage container "
    "create {place} --name NEWCONTAINER`. This shows what protects the present one: `az storage "
    "container show {place} --name {container} --query properties`."
)
