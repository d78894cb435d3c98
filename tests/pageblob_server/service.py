"""One request in, one answer out: routing, the managed-disk rules, and containers."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.sax.saxutils import escape

from . import blobs, conditions, errors, leases, pages
from .calls import Call, Operation, Reply
from .errors import RefusedError
from .state import State, Violation

# "Naming and referencing containers, blobs, and metadata".
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*|\$root|\$web|\$logs")
_BLOB_LENGTH = 1024

# What the upload SAS of a managed disk is for.
_MANAGED_DISK_OPERATIONS = frozenset(
    (
        Operation.GET_PROPERTIES,
        Operation.GET_PAGE_RANGES,
        Operation.PUT_PAGE,
        Operation.CLEAR_PAGES,
    )
)


# What a policy or legal hold does not allow; a lease it does.
_CHANGES = frozenset(
    (
        Operation.PUT_BLOB,
        Operation.DELETE_BLOB,
        Operation.SET_METADATA,
        Operation.SET_PROPERTIES,
        Operation.PUT_PAGE,
        Operation.CLEAR_PAGES,
    )
)


def perform(state: State, call: Call) -> Reply:
    """Do what a request asks for; raises RefusedError. Under the state's lock."""
    if not call.container:
        if call.operation is Operation.ACCOUNT_INFORMATION:
            return _account_information()
        raise RefusedError(errors.INVALID_URI)
    if call.operation is Operation.UNKNOWN:
        raise RefusedError(
            errors.UNSUPPORTED_QUERY if call.query.get("comp") else errors.UNSUPPORTED_VERB
        )
    if not _CONTAINER.fullmatch(call.container) or len(call.blob) > _BLOB_LENGTH:
        raise RefusedError(errors.INVALID_NAME)
    with state.lock:
        _keep_managed_disk_rules(state, call)
        _keep_immutable(state, call)
        return _HANDLERS[call.operation](state, call)


def is_managed_disk(state: State, call: Call) -> bool:
    """Whether the `md-` rules hold: by the account's name, or because the blob is a disk's."""
    if call.managed:
        return True
    found = state.containers.get(call.container, {}).get(call.blob)
    return found is not None and found.managed


def _keep_managed_disk_rules(state: State, call: Call) -> None:
    """Record what must never be sent to a managed disk, and refuse it.

    All but Put Blob, which the service takes: the disk is empty afterwards.
    """
    if not is_managed_disk(state, call) or call.operation in _MANAGED_DISK_OPERATIONS:
        return
    found = state.containers.get(call.container, {}).get(call.blob)
    if call.operation is Operation.GET_BLOB and found is not None and found.readable:
        return
    wipes = call.operation is Operation.PUT_BLOB
    state.violations.append(Violation(call.operation, call.name, wipes))
    if not wipes:
        raise RefusedError(errors.NOT_PERMITTED)


def _keep_immutable(state: State, call: Call) -> None:
    """Under a policy or legal hold, a blob that is there is neither changed nor deleted."""
    changes = call.operation in _CHANGES and state.options.container_protection is not None
    if changes and call.blob in state.containers.get(call.container, {}):
        raise RefusedError(errors.IMMUTABLE)


def _account_information() -> Reply:
    return Reply(200, {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2"})


def _create_container(state: State, call: Call) -> Reply:
    if call.container in state.containers:
        raise RefusedError(errors.CONTAINER_EXISTS)
    state.containers[call.container] = {}
    return Reply(201, {"ETag": state.next_etag()})


def _delete_container(state: State, call: Call) -> Reply:
    state.container(call)
    del state.containers[call.container]
    return Reply(202)


def _get_container(state: State, call: Call) -> Reply:
    state.container(call)
    protection = state.options.container_protection
    return Reply(
        200,
        {
            "x-ms-lease-state": "available",
            "x-ms-lease-status": "unlocked",
            "x-ms-has-legal-hold": str(protection == "legal hold").lower(),
            "x-ms-has-immutability-policy": str(protection == "immutability policy").lower(),
        },
    )


def _list_blobs(state: State, call: Call) -> Reply:
    """List Blobs: all of them in one answer, with the properties that clients look at."""
    prefix = call.query.get("prefix", "")
    items = []
    for name, blob in sorted(state.container(call).items()):
        if not name.startswith(prefix):
            continue
        described = blobs.describe(blob, state.now())
        items.append(
            f"<Blob><Name>{escape(name)}</Name><Properties>"
            f"<Last-Modified>{described['Last-Modified']}</Last-Modified>"
            f"<Etag>{escape(blob.etag.strip(chr(34)))}</Etag>"
            f"<Content-Length>{blob.size}</Content-Length>"
            f"<Content-Type>{escape(described['Content-Type'])}</Content-Type>"
            f"<BlobType>{blob.kind}</BlobType>"
            f"<LeaseStatus>{described['x-ms-lease-status']}</LeaseStatus>"
            f"<LeaseState>{described['x-ms-lease-state']}</LeaseState>"
            "</Properties></Blob>"
        )
    xml = (
        f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults '
        f'ContainerName="{escape(call.container)}"><Prefix>{escape(prefix)}</Prefix>'
        f"<Blobs>{''.join(items)}</Blobs><NextMarker/></EnumerationResults>"
    ).encode()
    return Reply(200, {"Content-Type": "application/xml"}, (xml,), len(xml))


def _get_blob(state: State, call: Call) -> Reply:
    blob = state.blob(call)
    leases.check_read(blob.lease, call.headers.get("x-ms-lease-id"), state.now())
    conditions.check(call, blob, reading=True)
    return pages.get_blob(state, call, blobs.describe(blob, state.now()))


_HANDLERS: dict[Operation, Callable[[State, Call], Reply]] = {
    Operation.CREATE_CONTAINER: _create_container,
    Operation.DELETE_CONTAINER: _delete_container,
    Operation.GET_CONTAINER: _get_container,
    Operation.LIST_BLOBS: _list_blobs,
    Operation.PUT_BLOB: blobs.put_blob,
    Operation.DELETE_BLOB: blobs.delete_blob,
    Operation.GET_PROPERTIES: blobs.get_properties,
    Operation.GET_BLOB: _get_blob,
    Operation.SET_METADATA: blobs.set_metadata,
    Operation.SET_PROPERTIES: blobs.set_properties,
    Operation.PUT_PAGE: pages.put_page,
    Operation.CLEAR_PAGES: pages.clear_pages,
    Operation.GET_PAGE_RANGES: pages.get_page_ranges,
    Operation.ACQUIRE_LEASE: blobs.lease_blob,
    Operation.RENEW_LEASE: blobs.lease_blob,
    Operation.CHANGE_LEASE: blobs.lease_blob,
    Operation.RELEASE_LEASE: blobs.lease_blob,
    Operation.BREAK_LEASE: blobs.lease_blob,
}
