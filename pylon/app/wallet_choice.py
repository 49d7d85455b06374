"""Choosing another wallet: nobody may be in the middle of something with the old one."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from attrs import evolve, field, frozen

from pylon.adapters.config_file import change_config
from pylon.adapters.home import Home
from pylon.adapters.wallet_secrets import WalletSecret, store_secret
from pylon.app.node import Opened
from pylon.app.purse import open_purse
from pylon.app.store import open_store
from pylon.config import Config
from pylon.config.keys import BadValue
from pylon.errors import InUse, Misconfigured, WalletUnavailable

_PROGRAMS = ("node", "wallet service")  # by the names of their locks


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
def nobody_uses(home: Home) -> Generator[None]:
    """Keep others from using this home's wallet meanwhile; raise `InUse` if somebody does."""
    with ExitStack() as locks:
        try:
            for program in _PROGRAMS:
                locks.enter_context(home.lock(program))
        except InUse as exc:
            raise InUse(
                f"{exc}: stop it first; --force changes the wallet of its next start"
            ) from exc
        yield


async def refuse_open_work(opened: Opened) -> None:
    """Raise `Misconfigured` while the wallet at hand is needed for what has not ended."""
    if not opened.home.database.exists():
        return
    await _settle_leftovers(opened)
    async with open_store(opened.home.database) as store:
        open_ = {
            "job": len(await store.jobs.unfinished()),
            "order": len(await store.orders.unfinished()),
            "payment": len(await store.budget.reserved()),
        }
    if any(open_.values()):
        told = ", ".join(f"{n} {what}{'s' * (n > 1)}" for what, n in open_.items() if n)
        raise Misconfigured(
            f"not ended yet, and in need of the wallet {opened.config.wallet.backend}: {told}; "
            "wait for them, or give --force"
        )


async def _settle_leftovers(opened: Opened) -> None:
    """Let the wallet say what became of payments that a killed process left; it may be away."""
    with suppress(WalletUnavailable, Misconfigured):
        async with open_purse(opened.home, opened.config, opened.identity, clock=opened.clock):
            pass
