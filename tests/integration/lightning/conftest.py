"""One pair of real Lightning nodes for all tests of a session."""

from collections.abc import Generator

import pytest

from tests.integration.lightning.town import Pair, debians_electrum, open_pair, unstables_electrum


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair, None, None]:
    """Two of Debian's Electrum (4.3): mandatory in CI."""
    with open_pair(debians_electrum(), tmp_path_factory.mktemp("electrum")) as pair:
        yield pair


@pytest.fixture(scope="session")
def holding_pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair, None, None]:
    """Two of the Electrum of Debian unstable (4.8), which can hold payments, if it was to be had."""
    with open_pair(unstables_electrum(), tmp_path_factory.mktemp("electrum48")) as pair:
        yield pair
