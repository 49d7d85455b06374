"""The wallet, opened for one command."""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from pylon.cli import passphrase
from pylon.cli.context import Context
from pylon.errors import Misconfigured, PylonError, WalletUnavailable

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from pylon.adapters.lightning.ledger.wallet import LedgerWallet
    from pylon.app.identity import Identity
    from pylon.ports.wallet import Wallet

W = TypeVar("W")
T = TypeVar("T")


def with_wallet(
    context: Context,
    work: "Callable[[Wallet], Awaitable[T]]",
    *,
    identity: "Identity | None" = None,
    patient: bool = False,
) -> T:
    """Open this home's wallet for one piece of work, unlocking the identity if it is not yet.

    A wallet that does not answer in time raises `WalletUnavailable`; `patient` work, which has its
    own idea of time, waits as long as it likes once the wallet is open.
    """
    from pylon.adapters.clock import SystemClock
    from pylon.app.wallet import open_wallet

    who = identity or unlocked(context)
    opened = open_wallet(context.home(), context.config(), who, clock=SystemClock())
    return run_with(opened, work, patient=patient)


def with_ledger(context: Context, work: "Callable[[LedgerWallet], Awaitable[T]]") -> T:
    """Open this home's ledger, for what only a ledger can; raise `Misconfigured` if it has another."""
    from pylon.adapters.clock import SystemClock
    from pylon.app.wallet import open_regtest_ledger

    config = context.config()
    if config.wallet.backend != "ledger":
        raise Misconfigured(
            f"this is for the embedded ledger; the wallet is {config.wallet.backend}"
        )
    identity = unlocked(context)
    opened = open_regtest_ledger(context.home(), config, identity, clock=SystemClock())
    return run_with(opened, work)


def unlocked(context: Context) -> "Identity":
    """Open this home's identity, asking for a passphrase if it has one."""
    from pylon.app.identity import unlock
    from pylon.model.money import Network

    network = Network(context.config().node.network)
    return unlock(context.home(), network, ask_passphrase=partial(passphrase.current, context))


def run_with(
    opened: "AbstractAsyncContextManager[W]",
    work: "Callable[[W], Awaitable[T]]",
    *,
    patient: bool = False,
) -> T:
    """Do one piece of work with a wallet, as `with_wallet` does.

    What the work raises comes out as it is, whatever tasks the wallet has around it.
    """
    import trio

    from pylon.ports.wallet import ANSWER_SECONDS

    async def run() -> T:
        try:
            with trio.fail_after(ANSWER_SECONDS) as scope:
                async with opened as wallet:
                    if patient:
                        scope.deadline = math.inf
                    result = await _captured(work, wallet)
        except trio.TooSlowError:
            raise WalletUnavailable(
                f"the wallet does not answer for {ANSWER_SECONDS:g} s"
            ) from None
        if isinstance(result, _Raised):
            raise result.error
        return result

    return trio.run(run)


@frozen
class _Raised:
    error: PylonError


async def _captured(work: "Callable[[W], Awaitable[T]]", wallet: W) -> "T | _Raised":
    try:
        return await work(wallet)
    except PylonError as exc:
        return _Raised(exc)
