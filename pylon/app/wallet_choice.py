"""Choosing another wallet: nobody may be in the middle of something with the old one."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import evolve, field, frozen

from pylon.adapters.config_file import change_config
from pylon.adapters.home import Home
from pylon.adapters.wallet_secrets import WalletSecret, store_secret
from pylon.app.store import open_store
from pylon.config import Config
from pylon.config.keys import BadValue
from pylon.errors import InUse, Misconfigured


@frozen
class Choice:
    """A wallet as it is to be: keys of `[wallet]`, and new secrets, which are not among them."""

    keys: Mapping[str, Any]  # backend and what it needs
    secrets: Mapping[WalletSecret, str] = field(factory=dict, repr=False)

    def applied(self, config: Config) -> Config:
        """Return the configuration with this wallet; raise `Misconfigured` for what cannot work."""
        try:
            return evolve(config, wallet=evolve(config.wallet, **self.keys))
        except BadValue as exc:
            raise Misconfigured(f"wallet.{exc.key}: {exc}") from exc

    def keep(self, home: Home) -> None:
        """Write secrets and keys to the home's files."""
        for which, text in self.secrets.items():
            store_secret(home, which, text)
        change_config(home, "wallet", self.keys)


@contextmanager
def no_provider(home: Home) -> Generator[None]:
    """Keep this home's node from running; raise `Misconfigured` if it does."""
    try:
        with home.lock("node"):
            yield
    except InUse as exc:
        raise InUse(f"{exc}: stop it first; --force changes the wallet of its next start") from exc


async def refuse_open_work(home: Home, config: Config) -> None:
    """Raise `Misconfigured` while jobs or orders have not ended: their money is in the old wallet."""
    if not home.database.exists():
        return
    async with open_store(home.database) as store:
        jobs, orders = len(await store.jobs.unfinished()), len(await store.orders.unfinished())
    if jobs or orders:
        raise Misconfigured(
            f"{jobs} jobs sold and {orders} bought have not ended, and the wallet "
            f"{config.wallet.backend} is needed for them: wait, or give --force"
        )
