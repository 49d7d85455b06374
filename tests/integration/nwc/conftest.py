"""What the tests with Alby's SDK need of the machine."""

import shutil

import pytest

from tests.integration.nwc.programs import SDK


@pytest.fixture
def node() -> str:
    """Where node is, if Alby's SDK is there to be run by it."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("there is no node on this machine to run Alby's SDK")
    if not SDK.exists():
        pytest.skip("Alby's SDK is not here: npm install --prefix tests/integration/nwc")
    return found
