"""Why access was denied, by what is at hand: the SAS's own fields and the service's clock.

A refusal often does not say its reason: the answer to HEAD has no body, and a firewall's 403 is
that of a SAS without a permission. A SAS says of itself when and for what it is valid ("Create a
service SAS", "Create an account SAS"), and every answer says in its Date header what time it is
for the service. Nothing of the signature is ever part of a text.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

from vhdtools.target.remedies import NETWORK, NEW_SAS

__all__ = ["Attempt", "Reason", "clock_difference", "sas_fields", "why_denied"]

_MOST_SKEW = timedelta(minutes=15)
"""Older or newer requests are refused ("Authorize with Shared Key", "Specifying the Date")."""
_NOTABLE_SKEW = timedelta(minutes=2)

# What says its reason by its code needs no evidence.
_UNSAID = ("", "AuthenticationFailed", "AuthorizationFailure")

_OPERATIONS = {
    ("HEAD", ""): ("reading the blob's properties", "r"),
    ("GET", ""): ("reading the blob", "r"),
    ("GET", "pagelist"): ("listing page ranges", "r"),
    ("PUT", ""): ("creating the blob", "cw"),
    ("PUT", "page"): ("writing pages", "w"),
    ("PUT", "metadata"): ("writing metadata", "w"),
    ("PUT", "properties"): ("writing properties", "w"),
    ("PUT", "lease"): ("leasing the blob", "w"),
}
"""What a request does, and the permissions any of which it needs ("Create a service SAS")."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that was refused: `sas` are the fields of its SAS but the signature, if any.

    `signed` tells that it carried a key's signature or a token instead. `now` is this machine's
    time.
    """

    method: str
    url: str
    now: datetime
    sas: Mapping[str, str] | None = None
    signed: bool = False

    @property
    def operation(self) -> tuple[str, str]:
        """What the request does, and any of which permissions it needs."""
        comp = dict(parse_qsl(urlsplit(self.url).query)).get("comp", "")
        return _OPERATIONS.get((self.method, comp), ("this", ""))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why access was denied; in `remedy`, braces stand for `command_names`."""

    problem: str
    remedy: str


def sas_fields(sas: str) -> dict[str, str]:
    """The fields of a SAS, without its signature."""
    return {name: value for name, value in parse_qsl(sas) if name.lower() != "sig"}


def why_denied(attempt: Attempt, code: str, detail: str, date: datetime | None) -> Reason | None:
    """Problem and remedy of a 401 or 403, where there is evidence; None leaves it to the answer.

    `code` and `detail` are the answer's, `date` is the service's time, where it told it.
    """
    if attempt.sas is not None:
        return _why_not_this_sas(attempt, attempt.sas, code, detail, date)
    if attempt.signed and date and abs(attempt.now - date) > _MOST_SKEW and code in _UNSAID:
        return Reason(
            f"this machine's clock is {clock_difference(attempt.now, date)} the service's, and "
            "more than 15 minutes are not accepted",
            "Set the clock, for instance by NTP, and run the same command again.",
        )
    return None


def _why_not_this_sas(
    attempt: Attempt, sas: Mapping[str, str], code: str, detail: str, date: datetime | None
) -> Reason | None:
    if code not in (
        *_UNSAID,
        "AuthorizationPermissionMismatch",
        "AuthorizationProtocolMismatch",
        "AuthorizationSourceIPMismatch",
    ):
        return None
    now = date or attempt.now
    ends, starts = _time(sas.get("se", "")), _time(sas.get("st", ""))
    if ends is not None and ends <= now:
        clock = _clock_note(attempt.now, date)
        return Reason(f"the SAS expired at {_shown(ends)}, {_span(now - ends)} ago{clock}", NEW_SAS)
    if starts is not None and starts > now:
        clock = _clock_note(attempt.now, date)
        return Reason(
            f"the SAS is not valid before {_shown(starts)}, which is in {_span(starts - now)}"
            f"{clock}",
            "Set this machine's clock, or wait. " + NEW_SAS
            if clock
            else "Wait until then. " + NEW_SAS,
        )
    if sas.get("spr") == "https" and attempt.url.startswith("http:"):
        return Reason("the SAS allows https only", "Use the https URL.")
    missing = _missing(attempt, sas)
    if missing is not None and code != "AuthenticationFailed":
        return Reason(missing, NEW_SAS)
    if address := sas.get("sip"):
        if code == "AuthorizationSourceIPMismatch":
            return Reason(
                f"the SAS allows requests from {address} only (sip=): {detail}",
                "Send the request from there, or make a SAS without --ip. " + NEW_SAS,
            )
        if code in ("", "AuthorizationFailure"):
            return Reason(
                f"this machine is not allowed here: the SAS allows requests from {address} only "
                "(sip=), and the account's firewall may not allow this machine",
                "Make a SAS without --ip. " + NETWORK,
            )
    if code == "AuthorizationFailure":
        until = f", valid until {_shown(ends)}" if ends else ""
        return Reason(
            "the service does not allow this request from here, although the SAS does "
            f"(permissions {sas.get('sp', 'by its policy')}{until})",
            NETWORK,
        )
    if policy := sas.get("si"):
        return Reason(
            f"the SAS is not valid: its stored access policy {policy!r} (si=) may have expired, "
            "been changed or deleted",
            "See what the policy allows: `az storage container policy show {keyed} "
            "--container-name {container} --name=" + _quoted_for_format(policy) + "`.",
        )
    return None


def _missing(attempt: Attempt, sas: Mapping[str, str]) -> str | None:
    """What the SAS does not cover, by its fields for permissions, services and resources."""
    what, needed = attempt.operation
    if "ss" in sas and "b" not in sas["ss"]:
        return f"the account SAS is not for blobs (ss={sas['ss']}, and b is needed)"
    if sas.get("sr") in ("s", "f"):
        return f"the SAS is for Azure Files (sr={sas['sr']}), not for blobs"
    if "srt" in sas and "o" not in sas["srt"]:
        return f"the account SAS does not cover blobs themselves (srt={sas['srt']}, o is needed)"
    if "sp" in sas and needed and not set(needed) & set(sas["sp"]):
        return (
            f"the SAS does not allow {what}: it has the permissions {sas['sp']}, and "
            f"{' or '.join(needed)} is needed"
        )
    return None


def clock_difference(local: datetime, service: datetime) -> str:
    """By how much this machine's clock differs, as in "3 min ahead of"."""
    way = "ahead of" if local > service else "behind"
    return f"{_span(abs(local - service))} {way}"


def _clock_note(local: datetime, service: datetime | None) -> str:
    if service is None or abs(local - service) < _NOTABLE_SKEW:
        return ""
    return f"; this machine's clock is {clock_difference(local, service)} the service's"


def _time(text: str) -> datetime | None:
    """A time as a SAS has it: ISO 8601 in UTC, down to days, minutes or seconds."""
    try:
        found = datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _shown(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        del parts[0]
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number) or "0 s"


def _quoted_for_format(text: str) -> str:
    return shlex.quote(text).replace("{", "{{").replace("}", "}}")
