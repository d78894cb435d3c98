"""Fixtures that every test module may ask for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.azurite import Azurite, start_azurite

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

# No test asserts a time. In continuous integration the same examples are tried every time; at home
# new ones are.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Azurite over HTTP with its blobs in memory; under pytest-xdist, one for each worker."""
    with start_azurite() as running:
        yield running


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """An empty container of its own for the test, as the SDK's client (`.container_name`)."""
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        client = service.create_container(f"test-{uuid.uuid4().hex}")
        with client:
            yield client
            client.delete_container()
