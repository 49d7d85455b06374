"""Reconciling a home's earnings with its wallet."""

from pylon.app.store import Store
from pylon.core.reconciliation import Reconciliation, reconcile
from pylon.model.ids import PaymentHash
from pylon.ports.wallet import Wallet

EVERYTHING = 1_000_000  # payments; more than any node here has had


async def reconcile_earnings(store: Store, wallet: Wallet) -> Reconciliation:
    """Compare all that was ever counted with all that the wallet remembers.

    Raises `WalletUnavailable` where the wallet does not answer.
    """
    history = await wallet.history(limit=EVERYTHING)
    hashes = [entry.payment_hash for entry in history if entry.payment_hash is not None]
    ids = await store.jobs.find(hashes)
    records = await store.jobs.load(list(ids.values()))
    jobs = {
        PaymentHash(name): (job, records[job].state) for name, job in ids.items() if job in records
    }
    return reconcile(await store.earnings.recent(limit=EVERYTHING), history, jobs)
