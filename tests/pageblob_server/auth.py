"""Who may do what: shared keys, SAS and bearer tokens, without any signature being computed.

A shared key needs no more than to be there. A SAS is its `sig`, a token its text; each can be
replaced and can expire, at once or after so many more requests, as a test wants it.
"""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from urllib.parse import parse_qs

from . import errors
from .calls import Call, Operation
from .errors import RefusedError, ServiceError

_FORMAT = "%a, %d %b %Y %H:%M:%S GMT"
_TENANT = "00000000-0000-0000-0000-000000000000"

# "Create a service SAS", permissions for a blob; any letter of the value will do.
_PERMISSIONS = {
    Operation.PUT_BLOB: "cw",
    Operation.DELETE_BLOB: "d",
    Operation.GET_PROPERTIES: "r",
    Operation.GET_BLOB: "r",
    Operation.GET_PAGE_RANGES: "r",
    Operation.SET_METADATA: "w",
    Operation.SET_PROPERTIES: "w",
    Operation.PUT_PAGE: "w",
    Operation.CLEAR_PAGES: "w",
    Operation.ACQUIRE_LEASE: "w",
    Operation.RENEW_LEASE: "w",
    Operation.CHANGE_LEASE: "w",
    Operation.RELEASE_LEASE: "w",
    Operation.BREAK_LEASE: "wd",
    Operation.LIST_BLOBS: "l",
}


class Gate:
    """The credentials in force. Safe to change while requests run."""

    def __init__(self, sas: str | None, token: str | None) -> None:
        self._lock = threading.Lock()
        self._sas = _signature(sas)
        self._token = token
        self._sas_left: int | None = None
        self._token_left: int | None = None

    def set_sas(self, sas: str | None) -> None:
        """From now on this SAS token alone is good (None: any)."""
        with self._lock:
            self._sas, self._sas_left = _signature(sas), None

    def set_token(self, token: str | None) -> None:
        """From now on this bearer token alone is good (None: any)."""
        with self._lock:
            self._token, self._token_left = token, None

    def expire_sas(self, after: int = 0) -> None:
        """Let the SAS in force expire after so many more requests."""
        with self._lock:
            self._sas_left = after

    def expire_token(self, after: int = 0) -> None:
        """Let the bearer token in force expire after so many more requests."""
        with self._lock:
            self._token_left = after

    def check(self, call: Call) -> None:
        """Refuse a request without credentials, or with ones that are not good any more."""
        authorization = call.headers.get("Authorization", "")
        with self._lock:
            if "sig" in call.query:
                self._check_sas(call)
            elif authorization.startswith("Bearer "):
                self._check_token(authorization.removeprefix("Bearer "))
            elif not authorization.startswith(("SharedKey ", "SharedKeyLite ")):
                raise RefusedError(_challenge("NoAuthenticationInformation"))

    def _check_sas(self, call: Call) -> None:
        query, now = call.query, datetime.fromtimestamp(call.now, timezone.utc)
        if self._sas is not None and query["sig"] != self._sas:
            raise RefusedError(_failed("Signature did not match."))
        starts, ends = _time(query.get("st")), _time(query.get("se"))
        spent = self._sas_left is not None and self._sas_left <= 0
        if spent or (ends and now >= ends) or (starts and now < starts):
            raise RefusedError(_out_of_time(starts, min(ends or now, now), now))
        if self._sas_left is not None:
            self._sas_left -= 1
        needed = _PERMISSIONS.get(call.operation)
        allowed = query.get("sp")
        if "sr" in query and not call.blob and call.operation is not Operation.LIST_BLOBS:
            raise RefusedError(errors.NOT_AUTHORIZED)
        if needed and allowed is not None and not set(needed) & set(allowed):
            raise RefusedError(errors.NOT_PERMITTED)

    def _check_token(self, token: str) -> None:
        if self._token is not None and token != self._token:
            raise RefusedError(_challenge("InvalidAuthenticationInfo", "Issuer validation failed."))
        if self._token_left is not None:
            if self._token_left <= 0:
                detail = "Lifetime validation failed. The token is expired."
                raise RefusedError(_challenge("InvalidAuthenticationInfo", detail))
            self._token_left -= 1


def _signature(sas: str | None) -> str | None:
    return None if sas is None else parse_qs(sas.lstrip("?"))["sig"][0]


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise RefusedError(_failed("Signature fields not well formed.")) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def _failed(detail: str) -> ServiceError:
    return ServiceError(
        403,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of Authorization header is "
        "formed correctly including the signature.",
        {"AuthenticationErrorDetail": detail},
    )


def _out_of_time(starts: datetime | None, ends: datetime, now: datetime) -> ServiceError:
    start = f"Start [{starts.strftime(_FORMAT)}] - " if starts else ""
    return _failed(
        f"Signature not valid in the specified time frame: {start}"
        f"Expiry [{ends.strftime(_FORMAT)}] - Current [{now.strftime(_FORMAT)}]"
    )


def _challenge(code: str, detail: str | None = None) -> ServiceError:
    challenge = (
        f"Bearer authorization_uri=https://login.microsoftonline.com/{_TENANT}/oauth2/authorize "
        "resource_id=https://storage.azure.com"
    )
    return ServiceError(
        401,
        code,
        "Server failed to authenticate the request. "
        "Please refer to the information in the www-authenticate header.",
        {} if detail is None else {"AuthenticationErrorDetail": detail},
        {"WWW-Authenticate": challenge},
    )
