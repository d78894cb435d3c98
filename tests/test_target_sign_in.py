"""Sign-in that fails: the cause that matters, of all that azure-identity lists."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from vhdtools.errors import AccessError
from vhdtools.target.destination import open_target
from vhdtools.target.sign_in import SignInFailure, explain_sign_in

# As azure-identity 1.27 says it on a machine without anything.
NOTHING = {
    "EnvironmentCredential": "EnvironmentCredential authentication unavailable. Environment "
    "variables are not fully configured.\nVisit https://aka.ms/x to troubleshoot this issue.",
    "WorkloadIdentityCredential": "WorkloadIdentityCredential authentication unavailable. The "
    "workload options are not fully configured. Missing required arguments: 'tenant_id'.",
    "ManagedIdentityCredential": "ManagedIdentityCredential authentication unavailable.",
    "SharedTokenCacheCredential": "SharedTokenCacheCredential authentication unavailable. No "
    "accounts were found in the cache.",
    "VisualStudioCodeCredential": "VisualStudioCodeCredential requires the "
    "'azure-identity-broker' package to be installed.",
    "AzureCliCredential": "Azure CLI not found on path",
    "AzurePowerShellCredential": "PowerShell is not installed",
    "AzureDeveloperCliCredential": "Azure Developer CLI could not be found. Please visit "
    "https://aka.ms/azure-dev and then,once installed, authenticate using 'azd auth login'.",
    "BrokerCredential": "InteractiveBrowserBrokerCredential unavailable. The "
    "'azure-identity-broker' package is required to use brokered authentication.",
}
EXPIRED = (
    "ERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency "
    "checks by conditional access.\nInteractive authentication is needed. Please run:\naz login"
)


def listed(**changes: str | None) -> str:
    said = {name: changes.get(name, text) for name, text in NOTHING.items()}
    lines = [f"\t{name}: {text}" for name, text in said.items() if text is not None]
    return "\n".join(
        [
            "DefaultAzureCredential failed to retrieve a token from the included credentials.",
            "Attempted credentials:",
            *lines,
            "To mitigate this issue, please refer to https://aka.ms/x/troubleshoot.",
        ]
    )


def explain(text: str, **variables: str) -> SignInFailure:
    return explain_sign_in(text, variables)


def test_nothing_is_there() -> None:
    failure = explain(listed())
    assert failure.problem == (
        "nobody is signed in to Azure: not there on this machine: environment variables, workload "
        "identity, managed identity, shared token cache, Visual Studio Code, Azure CLI, Azure "
        "PowerShell, Azure Developer CLI, sign-in broker"
    )
    assert failure.remedy.startswith("Install the Azure CLI, and sign in with `az login`.")


def test_nobody_is_signed_in() -> None:
    failure = explain(listed(AzureCliCredential="Please run 'az login' to set up account"))
    assert "Azure CLI: nobody is signed in; not there" in failure.problem
    assert failure.remedy.startswith("Sign in with `az login`.")


def test_what_was_really_tried_is_told_whole() -> None:
    failure = explain(listed(AzureCliCredential=EXPIRED, AzurePowerShellCredential="x" * 900))
    assert "Azure CLI: " + " ".join(EXPIRED.split()) in failure.problem
    assert "x" * 900 in failure.problem
    assert failure.remedy.startswith("Sign in with `az login`.")


def test_a_service_principal_that_is_refused() -> None:
    """The chain ends there: the rest is not asked."""
    refused = "Authentication failed: AADSTS7000215: Invalid client secret provided."
    names = list(NOTHING)[1:]
    text = listed(EnvironmentCredential=refused, **dict.fromkeys(names))
    failure = explain(text, AZURE_CLIENT_ID="a", AZURE_TENANT_ID="b", AZURE_CLIENT_SECRET="c")
    assert failure.problem == (
        f"nobody is signed in to Azure: environment variables: {refused.rstrip('.')}"
    )
    assert "AZURE_TOKEN_CREDENTIALS=dev" in failure.remedy


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"AZURE_CLIENT_ID": "a", "AZURE_TENANT_ID": "b"},
            "AZURE_CLIENT_ID and AZURE_TENANT_ID are set, and AZURE_CLIENT_SECRET is not",
        ),
        (
            {"AZURE_CLIENT_SECRET": "S3CRET"},
            "AZURE_CLIENT_SECRET is set, and AZURE_CLIENT_ID and AZURE_TENANT_ID are not",
        ),
        (
            {"AZURE_CLIENT_ID": "a", "AZURE_CLIENT_CERTIFICATE_PATH": "c", "AZURE_TENANT_ID": ""},
            "AZURE_CLIENT_ID and AZURE_CLIENT_CERTIFICATE_PATH are set, and AZURE_TENANT_ID is not",
        ),
    ],
)
def test_variables_that_are_set_by_half(variables: dict[str, str], said: str) -> None:
    failure = explain_sign_in(listed(), variables)
    assert f"environment variables: {said}" in failure.problem
    assert "S3CRET" not in failure.problem


def test_an_identity_of_one_variable_lacks_nothing() -> None:
    """AZURE_CLIENT_ID alone names a managed identity."""
    assert "is set" not in explain(listed(), AZURE_CLIENT_ID="a").problem


def test_another_source_of_tokens() -> None:
    failure = explain("Managed identity endpoint said no:\n  Bearer S3CRET was refused.")
    assert failure.problem.startswith("no token could be had: Managed identity endpoint said no:")
    assert "S3CRET" not in failure.problem
    assert explain("").problem == "no token could be had: no reason is given"


def test_at_a_request() -> None:
    class Source:
        def get_token(self, *_: str, **__: Any) -> Any:
            raise ClientAuthenticationError(listed(AzureCliCredential=EXPIRED))

    target = open_target(
        "https://acct.blob.core.windows.net/vhds/x.vhd",
        credential=Source(),
    )
    with pytest.raises(AccessError) as failed:
        target.state()
    assert "AADSTS70043" in failed.value.problem
    assert "az login" in failed.value.remedy
    target.close()
