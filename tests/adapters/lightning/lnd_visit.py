"""What the tests need to visit an lnd of any kind: a macaroon, a certificate, a first question."""

from pathlib import Path

import trio

from pylon.adapters.lightning.lnd import open_lnd
from pylon.adapters.memory.clock import MemoryClock
from pylon.model.money import Network
from pylon.ports.wallet import Wallet
from tests.adapters.lightning.https_double import Asked, Reply

NODE = {
    "identity_pubkey": "02" + "11" * 32,
    "block_height": 1,
    "chains": [{"chain": "bitcoin", "network": "regtest"}],
}


def keep(path: Path, raw: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(raw)
    path.chmod(mode)
    return path


async def look(
    url: str, macaroon: Path, trusted: Path | None, *, network: Network = Network.REGTEST
) -> Wallet:
    """Open a wallet and ask something."""
    with trio.fail_after(30):
        async with open_lnd(
            url, certificate=trusted, macaroon=macaroon, network=network, clock=MemoryClock()
        ) as wallet:
            await wallet.balance()
            return wallet


async def saying_well(asked: Asked) -> Reply:
    await trio.lowlevel.checkpoint()
    is_info = asked.path == "/v1/getinfo"
    return Reply(NODE if is_info else {"local_balance": {"msat": "5"}})
