"""The selling half of a node: which actors there are, and which channels join them.

    pool.heard ─► intake ─┐                        hints ┌─► cashier ──┐
    wallet.watch ─► invoice_watcher ─┤                   ├─► refunder ─┤
                       deadlines ─┴─► job_processor ─────┼─► worker ───┤ (─► narrator ─► pool.commands)
                                          ▲              ├─► publisher ┼─► pool.commands
                                          │              └─► earnings_tracker
                                          └─────────── mail ───────────┘

Mail is must-deliver. The desks on the right are told by hints alone and read their work from the
store, so the must-deliver graph has no cycle.
"""

from collections.abc import Sequence
from contextlib import suppress

import trio
from attrs import field, frozen

from pylon.app.actors import Actors
from pylon.app.relays import Pool
from pylon.app.store import Store
from pylon.config import Config
from pylon.core import outbox
from pylon.core.admission import Service
from pylon.core.job_machine import Published, TimePassed, Undeliverable
from pylon.core.mail import AboutJob, Mail, Partial
from pylon.core.refunds import RefundTerms
from pylon.errors import Transient
from pylon.model.filter import Filter
from pylon.model.inference import BackendHealth
from pylon.model.money import Network, from_sats
from pylon.model.relays import Subscribe, Unsubscribe
from pylon.model.wallet import Capabilities
from pylon.ports.channels import Cell, Hint
from pylon.ports.clock import Clock
from pylon.ports.inference import Backend
from pylon.ports.keys import Signer
from pylon.ports.wallet import Wallet
from pylon.services.announcer import Announcer
from pylon.services.backend_watch import BackendWatch
from pylon.services.cashier import Cashier
from pylon.services.deadlines import Deadlines
from pylon.services.earnings_tracker import EarningsTracker
from pylon.services.intake import CANCEL_KIND, Intake
from pylon.services.invoice_watcher import InvoiceWatcher
from pylon.services.job_processor import JobProcessor
from pylon.services.narrator import Narrator
from pylon.services.publisher import Publisher
from pylon.services.refunder import Refunder
from pylon.services.wallet_watch import WalletWatch
from pylon.services.worker import Worker
from pylon.wire.jobs import FEEDBACK_KIND

MAIL_SIZE = 256
PARTIALS_SIZE = 64
FIRST_PACE_SECONDS = 3.0  # what a job is taken to cost in time before the first is done
SUBSCRIPTION = "jobs"


@frozen
class ProviderParts:
    """The opened resources a provider works with; they outlive its actors."""

    config: Config
    signer: Signer
    store: Store
    wallet: Wallet
    backends: Sequence[Backend]
    pool: Pool
    clock: Clock
    jobs_changed: Hint = field(factory=Hint)  # in the store, for whoever shows jobs


async def serve_provider(
    parts: ProviderParts,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Sell until `stop` is set; then take no more jobs and finish those in hand.

    What is not finished within the configured grace is cut off, and goes on at the next start.
    """
    async with trio.open_nursery() as nursery:
        provider = _Provider(parts, Actors(nursery))
        await provider.start()
        task_status.started()
        await stop.wait()
        with trio.move_on_after(parts.config.node.grace_seconds), suppress(Transient):
            await provider.drain()
        nursery.cancel_scope.cancel()


class _Provider:
    """The actors of one provider and the channels between them."""

    def __init__(self, parts: ProviderParts, actors: Actors) -> None:
        self.parts = parts
        self.actors = actors
        self.mail_in, self.mail_out = trio.open_memory_channel[Mail](MAIL_SIZE)
        self.partials_in, self.partials_out = trio.open_memory_channel[Partial](PARTIALS_SIZE)
        desks = (outbox.CASHIER, outbox.REFUNDER, outbox.WORKER)
        more = (outbox.PUBLISHER, outbox.ACCOUNTANT)
        self.hints = {desk: Hint() for desk in (*desks, *more)}
        self.deadlines_changed = Hint()
        self.changed = Hint()  # in a job, or in what was earned: heard while draining
        self.sells_changed = Hint()
        self.healths: Cell[tuple[BackendHealth, ...]] = Cell(())
        self.able: Cell[Capabilities] = Cell(Capabilities())
        self.pace = Cell(FIRST_PACE_SECONDS)
        self.announcer: Announcer | None = None

    def service(self) -> Service:
        """Say what is sold at this moment."""
        config = self.parts.config
        return Service(
            config.provider,
            config.pricing,
            config.backends,
            self.healths.value,
            seconds_per_job=max(1, round(self.pace.value)),
            able=self.able.value,
        )

    async def start(self) -> None:
        """Start the actors, those that others depend on first, and listen for jobs last."""
        await self._start_core()
        await self._start_desks()
        await self._start_ears()

    async def drain(self) -> None:
        """Stop listening, and wait until nothing is being computed, published or counted."""
        if self.announcer is not None:
            await self.announcer.end()
        await self.parts.pool.commands.send(Unsubscribe(SUBSCRIPTION))
        while await self._busy():
            await self.changed.wait()

    async def _busy(self) -> bool:
        jobs = self.parts.store.jobs
        in_hand = await jobs.open_in(("Working", "Finished", "Settling"))
        rows = [await jobs.outbox(desk, limit=1) for desk in (outbox.CASHIER, outbox.ACCOUNTANT)]
        return bool(in_hand or any(rows))

    async def _start_core(self) -> None:
        p = self.parts
        watch = BackendWatch(p.backends, self.healths, p.clock, self.sells_changed)
        await self.actors.start("backend watch", watch.run)
        wallet = WalletWatch(p.wallet, self.able, p.clock, (self.sells_changed,))
        await self.actors.start("wallet watch", wallet.run)
        processor = JobProcessor(
            p.store.jobs,
            self.mail_out,
            p.signer,
            p.clock,
            self.service,
            _refund_terms(p.config),
            self.hints,
            (self.deadlines_changed, self.changed, p.jobs_changed),
        )
        await self.actors.start("job processor", processor.run, owns=(self.mail_out,))
        deadlines: Deadlines[Mail] = Deadlines(
            p.store.jobs,
            p.clock,
            self.deadlines_changed,
            self.mail_in.clone(),
            lambda job_id: AboutJob(job_id, TimePassed()),
        )
        await self.actors.start("deadlines", deadlines.run, owns=(deadlines.mail,))

    async def _start_desks(self) -> None:
        p, jobs, mail = self.parts, self.parts.store.jobs, self.mail_in
        await self._start_money_desks()
        worker = Worker(
            jobs,
            {backend.name: backend for backend in p.backends},
            self.healths,
            p.clock,
            self.hints[outbox.WORKER],
            mail.clone(),
            self.partials_in,
            self.pace,
        )
        await self.actors.start("worker", worker.run, owns=(worker.mail, self.partials_in))
        narrator = Narrator(p.signer, p.clock, self.partials_out, p.pool.commands.clone())
        await self.actors.start(
            "narrator", narrator.run, owns=(self.partials_out, narrator.commands)
        )
        publisher: Publisher[Mail] = Publisher(
            jobs,
            len(p.pool.health()),
            p.config.relay.publish_acks,
            self.hints[outbox.PUBLISHER],
            p.pool.commands.clone(),
            p.pool.outcomes,
            mail.clone(),
            lambda job, event, seq: AboutJob(job, Published(event), (seq,)),
            lambda job, event, why, seq: AboutJob(job, Undeliverable(event, why), (seq,)),
        )
        await self.actors.start(
            "publisher", publisher.run, owns=(publisher.mail, publisher.commands)
        )

    async def _start_money_desks(self) -> None:
        p, jobs, mail = self.parts, self.parts.store.jobs, self.mail_in
        cashier = Cashier(
            jobs,
            p.wallet,
            self.able,
            p.signer.preimage,
            p.signer.public_key,
            self.hints[outbox.CASHIER],
            mail.clone(),
        )
        await self.actors.start("cashier", cashier.run, owns=(cashier.mail,))
        refunder = Refunder(
            jobs, p.wallet, p.store.budget, p.clock, self.hints[outbox.REFUNDER], mail.clone()
        )
        await self.actors.start("refunder", refunder.run, owns=(refunder.mail,))
        tracker = EarningsTracker(
            jobs,
            p.store.earnings,
            p.wallet,
            p.clock,
            self.hints[outbox.ACCOUNTANT],
            self.changed,
        )
        await self.actors.start("earnings tracker", tracker.run)

    async def _start_ears(self) -> None:
        p = self.parts
        watcher = InvoiceWatcher(p.store.jobs, p.wallet, p.store.cursors, self.mail_in.clone())
        await self.actors.start("invoice watcher", watcher.run, owns=(watcher.mail,))
        intake = Intake(p.signer, p.pool.heard, self.mail_in)
        await self.actors.start("intake", intake.run, owns=(self.mail_in,))
        if p.config.provider.announce:
            self.announcer = Announcer(
                p.signer,
                p.clock,
                self.service,
                p.config.node.name,
                p.config.node.about,
                self.sells_changed,
                p.pool.commands.clone(),
            )
            commands = self.announcer.commands
            await self.actors.start("announcer", self.announcer.run, owns=(commands,))
        await p.pool.commands.send(Subscribe(SUBSCRIPTION, self._filters(), durable=True))

    def _filters(self) -> tuple[Filter, ...]:
        """Ask for jobs addressed to us, for broadcasts if they are taken, and what follows on jobs.

        That is cancellations, and customers' invoices for what we owe them.
        """
        kinds = self.service().kinds
        cancelled = tuple(str(kind) for kind in kinds)
        to_us = {"p": (self.parts.signer.public_key,)}
        ours = Filter(kinds=kinds, tags=to_us)
        anyone = Filter(kinds=kinds)
        jobs = anyone if self.parts.config.provider.accept_broadcast else ours
        refunds = Filter(kinds=(FEEDBACK_KIND,), tags=to_us)
        return (jobs, Filter(kinds=(CANCEL_KIND,), tags={"k": cancelled}), refunds)


def _refund_terms(config: Config) -> RefundTerms:
    buyer = config.buyer
    floor = from_sats(buyer.fee_floor_sats)
    return RefundTerms(Network(config.node.network), buyer.fee_percent, floor)
