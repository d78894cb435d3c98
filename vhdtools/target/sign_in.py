"""Why nobody is signed in, of all that azure-identity tells.

Its DefaultAzureCredential tries nine ways to sign in, and when none works it lists them all with a
text each. Most say no more than that a way is not set up on this machine. What matters is what was
really tried and failed, what is set up by half, and whether the Azure CLI could be asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vhdtools.text import redact

__all__ = ["SignInFailure", "explain_sign_in"]

_ENTRY = re.compile(r"^\t(\w+): ", re.MULTILINE)
_TRAILER = re.compile(r"^To mitigate this issue,.*", re.MULTILINE | re.DOTALL)

_NAMES = {
    "EnvironmentCredential": "environment variables",
    "WorkloadIdentityCredential": "workload identity",
    "ManagedIdentityCredential": "managed identity",
    "SharedTokenCacheCredential": "shared token cache",
    "VisualStudioCodeCredential": "Visual Studio Code",
    "AzureCliCredential": "Azure CLI",
    "AzurePowerShellCredential": "Azure PowerShell",
    "AzureDeveloperCliCredential": "Azure Developer CLI",
    "BrokerCredential": "sign-in broker",
}

# The order of the tests matters: what is missing often names the command to sign in, too.
_ABSENT = re.compile(
    "authentication unavailable|not found on path|could not be found|is not installed|"
    "package is required|package to be installed|no accounts were found",
    re.IGNORECASE,
)
_SIGNED_OUT = re.compile("az login|azd auth login|connect-azaccount", re.IGNORECASE)
_REAL = re.compile(r"AADSTS\d+|ERROR:")

_SECRET_VARIABLES = ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME")

_OTHER_WAYS = (
    "Or give a URL with a SAS, --sas-file or --connection-string, or set AZURE_STORAGE_ACCOUNT "
    "and AZURE_STORAGE_KEY."
)


@dataclass(frozen=True, slots=True)
class SignInFailure:
    """What is wrong, and what to do."""

    problem: str
    remedy: str


def explain_sign_in(text: str, variables: Mapping[str, str]) -> SignInFailure:
    """What azure-identity's error `text` comes to; `variables` is the environment.

    The text of a way that was really tried is told whole.
    """
    attempts = _attempts(text)
    if not attempts:
        return SignInFailure(f"no token could be had: {_plain(text)}", f"{_LOG_IN} {_OTHER_WAYS}")
    told, absent = [], []
    for name, said in attempts.items():
        label = _NAMES.get(name, name)
        if name == "EnvironmentCredential" and (lacking := _lacking(variables)):
            told.append(f"{label}: {lacking}")
        elif _ABSENT.search(said) and not _REAL.search(said):
            absent.append(label)
        elif _SIGNED_OUT.search(said) and not _REAL.search(said):
            told.append(f"{label}: nobody is signed in")
        else:
            told.append(f"{label}: {_plain(said)}")
    if absent:
        told.append(f"not there on this machine: {', '.join(absent)}")
    return SignInFailure(f"nobody is signed in to Azure: {'; '.join(told)}", _remedy(attempts))


_LOG_IN = "Sign in with `az login`."


def _remedy(attempts: Mapping[str, str]) -> str:
    said = attempts.get("AzureCliCredential", "")
    if _ABSENT.search(said) and not _REAL.search(said):
        return f"Install the Azure CLI, and sign in with `az login`. {_OTHER_WAYS}"
    if said:
        return f"{_LOG_IN} {_OTHER_WAYS}"
    # The chain ended before the Azure CLI: a way that comes first is set up, and fails.
    return (
        "Mend that way to sign in, or leave it out by setting AZURE_TOKEN_CREDENTIALS=dev and "
        f"sign in with `az login`. {_OTHER_WAYS}"
    )


def _attempts(text: str) -> dict[str, str]:
    """What each way to sign in said, by its name."""
    _, found, listed = text.partition("Attempted credentials:")
    if not found:
        return {}
    parts = _ENTRY.split(_TRAILER.sub("", listed))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _lacking(variables: Mapping[str, str]) -> str:
    """Which variables of a service principal are set, and which are not; "" where none is."""
    names = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID")
    given = [name for name in (*names, *_SECRET_VARIABLES) if variables.get(name)]
    missing = [name for name in names if not variables.get(name)]
    if not any(variables.get(name) for name in _SECRET_VARIABLES):
        # AZURE_CLIENT_ID alone names a managed identity, with a tenant a workload identity.
        if given in ([], ["AZURE_CLIENT_ID"]):
            return ""
        missing.append(_SECRET_VARIABLES[0])
    if not missing:
        return ""
    return f"{_listed(given)} set, and {_listed(missing)} not"


def _listed(names: list[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{' and '.join(names)} {verb}"


def _plain(text: str) -> str:
    return redact(" ".join(text.split())).rstrip(".") or "no reason is given"
