"""A double of the SDK's wallet object over the memory ledger, in the SDK's own classes.

What goes in and comes out is written and read by the real SDK's own serialiser, so that a request
the real one could not take is refused here too. It is no Spark: there are no operators, and who
pays whom is decided by the ledger.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar
from uuid import UUID

import breez_sdk_spark as sdk
import trio
from attrs import define, field
from breez_sdk_spark import breez_sdk_spark as serialisers

from pylon.adapters.lightning.ledger import invoices as rows
from pylon.adapters.lightning.ledger.settlement import Terms
from pylon.adapters.lightning.ledger.wallet import LedgerWallet
from pylon.adapters.memory.clock import MemoryClock
from pylon.errors import BadInvoice, Misconfigured
from pylon.model.ids import PaymentHash, Preimage
from pylon.model.invoice import Invoice
from pylon.model.money import Msat, Network, from_sats
from pylon.model.wallet import InvoiceState, PaymentFailed, PaymentResult, PaymentSettled
from pylon.wire.bolt11 import decode

T = TypeVar("T")

FEE_SATS = 1
TERMS = Terms(fee_base=from_sats(FEE_SATS), fee_ppm=0)


async def in_trio(make: Callable[[], Awaitable[T]]) -> T:
    """Run the double's coroutines, which are Trio's, where they belong."""
    return await make()


def through_the_sdk(value: T) -> T:
    """Write a value as the SDK's library is given it, and read it back."""
    converter = getattr(serialisers, f"_UniffiConverterType{type(value).__name__}")
    converter.check_lower(value)
    read: T = converter.lift(converter.lower(value))
    return read


@define
class Sent:
    """A payment that was sent."""

    id: str
    invoice: Invoice
    bolt11: str
    at: int
    result: PaymentResult | None = None
    done: trio.Event = field(factory=trio.Event)


@define(eq=False)
class SparkDouble:
    """One wallet, as `breez_sdk_spark.connect` returns it."""

    wallet: LedgerWallet
    clock: MemoryClock
    nursery: trio.Nursery
    lose_next: bool = False  # pays, and the answer is lost
    drop_next: bool = False  # does not even begin, and that is lost too
    offline: bool = False
    mute: bool = False  # tells of no events
    keeps_preimages: bool = False  # as where a payment went by a transfer within Spark
    lies: bool = False  # makes other invoices than it is asked for
    asked: list[Any] = field(factory=list)
    deposits: list[Any] = field(factory=list)
    _listeners: list[Any] = field(factory=list)
    _issued: dict[PaymentHash, str] = field(factory=dict)
    _came_at: dict[PaymentHash, int] = field(factory=dict)
    _sent: dict[str, Sent] = field(factory=dict)  # by idempotency key
    _ids: count = field(factory=count)  # type: ignore[type-arg]

    async def add_event_listener(self, *, listener: Any) -> str:
        await trio.lowlevel.checkpoint()
        if not self._listeners:
            self.nursery.start_soon(self._tell)
        self._listeners.append(listener)
        return "listener_1"

    async def _tell(self) -> None:
        while True:
            version = self.wallet._desk.version()
            for listener in [] if self.mute else self._listeners:
                await listener.on_event(sdk.SdkEvent.SYNCED())
            await self.wallet._desk.news(version)

    async def _heard(self, request: Any) -> Any:
        await trio.lowlevel.checkpoint()
        request = through_the_sdk(request)
        self.asked.append(request)
        return request

    def _reach(self) -> None:
        if self.offline:
            raise sdk.SdkError.SparkError("Operator RPC error: Transport error: dns error")

    async def get_info(self, *, request: sdk.GetInfoRequest) -> sdk.GetInfoResponse:
        await self._heard(request)
        return through_the_sdk(
            sdk.GetInfoResponse(
                identity_pubkey=self.wallet._key.node_key,
                balance_sats=await self.wallet.balance() // 1000,
                token_balances={},
                recoverable_funds_sats=0,
            )
        )

    async def sync_wallet(self, *, request: sdk.SyncWalletRequest) -> sdk.SyncWalletResponse:
        await self._heard(request)  # the real one says so without a network too
        return sdk.SyncWalletResponse()

    # --- receiving

    async def receive_payment(
        self, *, request: sdk.ReceivePaymentRequest
    ) -> sdk.ReceivePaymentResponse:
        method = (await self._heard(request)).payment_method
        self._reach()
        text = "bcrt1qdouble" if method.is_BITCOIN_ADDRESS() else await self._invoice(method)
        return through_the_sdk(
            sdk.ReceivePaymentResponse(payment_request=text, fee=0, cross_chain_info=None)
        )

    async def _invoice(self, method: Any) -> str:
        terms = {"description": method.description, "expiry_seconds": method.expiry_secs}
        amount = from_sats(method.amount_sats + self.lies)
        try:
            if method.payment_hash is None:
                made = await self.wallet.make_invoice(amount, **terms)
            else:
                hash_ = PaymentHash(method.payment_hash)
                made = await self.wallet.make_hold_invoice(hash_, amount, hold_seconds=600, **terms)
        except (BadInvoice, Misconfigured) as error:
            raise sdk.SdkError.InvalidInput(str(error)) from None
        self._issued[made.payment_hash] = made.bolt11
        return made.bolt11

    async def claim_htlc_payment(
        self, *, request: sdk.ClaimHtlcPaymentRequest
    ) -> sdk.ClaimHtlcPaymentResponse:
        preimage = Preimage((await self._heard(request)).preimage)
        self._reach()
        status = await self.wallet.settle_hold(preimage)
        if status.state is not InvoiceState.SETTLED:
            raise sdk.SdkError.Generic("there is nothing to claim")
        (claimed,) = [p for p in await self._received() if _hash(p) == status.payment_hash]
        return through_the_sdk(sdk.ClaimHtlcPaymentResponse(payment=claimed))

    async def _received(self) -> list[Any]:
        found = []
        for payment_hash in self._issued:
            row = await self.wallet._desk.read(partial(rows.find, payment_hash=payment_hash))
            assert row is not None
            if row.state is InvoiceState.OPEN or not row.cursor:
                continue  # nothing came in: the SDK does not know of it
            states = {
                InvoiceState.ACCEPTED: ("PENDING", "WAITING_FOR_PREIMAGE"),
                InvoiceState.SETTLED: ("COMPLETED", "PREIMAGE_SHARED"),
                InvoiceState.CANCELLED: ("FAILED", "RETURNED"),
            }
            came_at = self._came_at.setdefault(payment_hash, int(self.clock.now()))
            found.append(
                _payment(
                    f"in-{payment_hash[:8]}",
                    decode(row.bolt11),
                    row.bolt11,
                    states[row.state],
                    at=came_at,
                    is_sent=False,
                    preimage=row.preimage if row.state is InvoiceState.SETTLED else None,
                    expiry=row.deadline or 0,
                )
            )
        return found

    # --- sending

    async def prepare_send_payment(
        self, *, request: sdk.PrepareSendPaymentRequest
    ) -> sdk.PrepareSendPaymentResponse:
        source = (await self._heard(request)).payment_request
        self._reach()
        try:
            invoice = decode(source.input)
        except BadInvoice:
            raise sdk.SdkError.InvalidInput("invalid input") from None
        if invoice.network is not Network.REGTEST or invoice.amount is None:
            raise sdk.SdkError.InvalidInput("invalid network or amount")
        return through_the_sdk(
            sdk.PrepareSendPaymentResponse(
                payment_method=sdk.SendPaymentMethod.BOLT11_INVOICE(
                    invoice_details=_details(invoice, source.input),
                    spark_transfer_fee_sats=None,
                    lightning_fee_sats=FEE_SATS,
                ),
                amount=invoice.amount // 1000,
                token_identifier=None,
                conversion_estimate=None,
                fee_policy=sdk.FeePolicy.FEES_EXCLUDED,
            )
        )

    async def send_payment(self, *, request: sdk.SendPaymentRequest) -> sdk.SendPaymentResponse:
        request = await self._heard(request)
        self._reach()
        key = request.idempotency_key
        try:
            UUID(key)
        except (TypeError, ValueError):
            raise sdk.SdkError.InvalidUuid("not a UUID") from None
        if self.drop_next:
            self.drop_next = False
            raise sdk.SdkError.NetworkError("the connection was lost")
        sent = self._sent.get(key) or await self._begin(key, request.prepare_response)
        if self.lose_next:
            self.lose_next = False
            await sent.done.wait()
            raise sdk.SdkError.NetworkError("the connection was lost")
        with trio.move_on_after(request.options.completion_timeout_secs or 0):
            await sent.done.wait()
        return through_the_sdk(sdk.SendPaymentResponse(payment=await self._shown(sent)))

    async def _begin(self, key: str, prepared: Any) -> Sent:
        bolt11 = prepared.payment_method.invoice_details.invoice.bolt11
        if await self.wallet.balance() < from_sats(prepared.amount + FEE_SATS):
            raise sdk.SdkError.InsufficientFunds(None)
        sent = Sent(f"out-{next(self._ids)}", decode(bolt11), bolt11, int(self.clock.now()))
        self._sent[key] = sent
        self.nursery.start_soon(self._pay, sent)
        return sent

    async def _pay(self, sent: Sent) -> None:
        sent.result = await self.wallet.pay(
            sent.bolt11, max_fee=Msat(10**9), deadline_seconds=float("inf")
        )
        sent.done.set()

    async def _shown(self, sent: Sent) -> Any:
        result = sent.result or await self.wallet.payment(sent.invoice.payment_hash)
        match result:
            case PaymentSettled():
                states = ("COMPLETED", "PREIMAGE_SHARED")
            case PaymentFailed():
                states = ("FAILED", "RETURNED")
            case _:
                states = ("PENDING", "WAITING_FOR_PREIMAGE")
        told = isinstance(result, PaymentSettled) and not self.keeps_preimages
        return _payment(
            sent.id,
            sent.invoice,
            sent.bolt11,
            states,
            at=sent.at,
            is_sent=True,
            preimage=result.preimage if told and isinstance(result, PaymentSettled) else None,
        )

    # --- the list

    async def list_payments(self, *, request: sdk.ListPaymentsRequest) -> sdk.ListPaymentsResponse:
        request = await self._heard(request)
        known = [
            *self.deposits,
            *await self._received(),
            *[await self._shown(sent) for sent in self._sent.values()],
        ]
        if request.type_filter is not None:
            known = [one for one in known if one.payment_type in request.type_filter]
        if request.payment_details_filter is not None:
            assert all(one.is_LIGHTNING() for one in request.payment_details_filter)
            known = [one for one in known if one.details.is_LIGHTNING()]
        if request.from_timestamp is not None:
            known = [one for one in known if one.timestamp >= request.from_timestamp]
        known.sort(key=lambda one: int(one.timestamp), reverse=not request.sort_ascending)
        start = request.offset or 0
        page = known[start : start + (request.limit or len(known))]
        return through_the_sdk(sdk.ListPaymentsResponse(payments=page))

    async def deposit(self, amount: Msat) -> None:
        await self.wallet.fund(amount)
        self.deposits.append(
            sdk.Payment(
                id=f"deposit-{next(self._ids)}",
                payment_type=sdk.PaymentType.RECEIVE,
                status=sdk.PaymentStatus.COMPLETED,
                amount=amount // 1000,
                fees=0,
                timestamp=int(self.clock.now()),
                method=sdk.PaymentMethod.DEPOSIT,
                details=sdk.PaymentDetails.DEPOSIT(tx_id="ab" * 32, vout=0),
                conversion_details=None,
            )
        )


def _hash(payment: Any) -> str | None:
    with suppress(AttributeError):
        found: str = payment.details.htlc_details.payment_hash
        return found
    return None


def _payment(
    identifier: str,
    invoice: Invoice,
    bolt11: str,
    states: tuple[str, str],
    *,
    at: int,
    is_sent: bool,
    preimage: str | None,
    expiry: int = 0,
) -> Any:
    assert invoice.amount is not None
    failed = states[0] == "FAILED"
    return sdk.Payment(
        id=identifier,
        payment_type=sdk.PaymentType.SEND if is_sent else sdk.PaymentType.RECEIVE,
        status=sdk.PaymentStatus[states[0]],
        amount=invoice.amount // 1000,
        fees=FEE_SATS if is_sent and not failed else 0,
        timestamp=at,
        method=sdk.PaymentMethod.LIGHTNING,
        details=sdk.PaymentDetails.LIGHTNING(
            description=invoice.description,
            invoice=bolt11,
            destination_pubkey=invoice.payee,
            htlc_details=sdk.SparkHtlcDetails(
                payment_hash=invoice.payment_hash,
                preimage=preimage,
                expiry_time=expiry,
                status=sdk.SparkHtlcStatus[states[1]],
            ),
            lnurl_pay_info=None,
            lnurl_withdraw_info=None,
            lnurl_receive_metadata=None,
            conversion_info=None,
        ),
        conversion_details=None,
    )


def _details(invoice: Invoice, bolt11: str) -> Any:
    source = sdk.PaymentRequestSource(bip_21_uri=None, bip_353_address=None)
    return sdk.Bolt11InvoiceDetails(
        amount_msat=invoice.amount,
        description=invoice.description,
        description_hash=None,
        expiry=invoice.expiry_seconds,
        invoice=sdk.Bolt11Invoice(bolt11=bolt11, source=source),
        min_final_cltv_expiry_delta=invoice.min_final_cltv,
        network=sdk.BitcoinNetwork.REGTEST,
        payee_pubkey=invoice.payee,
        payment_hash=invoice.payment_hash,
        payment_secret=invoice.payment_secret,
        routing_hints=[],
        timestamp=invoice.created_at,
    )
