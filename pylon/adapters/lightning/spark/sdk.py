"""The SDK of Breez: finding it, making sure it is the one we know, and its errors in our words."""

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Final, TypeVar

import trio
from attrs import field, frozen

from pylon.adapters.lightning.spark.bridge import Bridge
from pylon.errors import Misconfigured, WalletUnavailable

T = TypeVar("T")

ANSWER_SECONDS: Final = 25.0
VERSION: Final = "0.27.2"

# What we call, and the arguments that we know of. A new one may be required, or change a meaning.
_KNOWN: Final = {
    "default_config": "network",
    "connect": "request",
    "ConnectRequest": "config seed storage_dir",
    "Seed.MNEMONIC": "mnemonic passphrase",
    "GetInfoRequest": "ensure_synced",
    "GetInfoResponse": "identity_pubkey balance_sats token_balances recoverable_funds_sats",
    "ReceivePaymentRequest": "payment_method",
    "ReceivePaymentMethod.BOLT11_INVOICE": (
        "description amount_sats expiry_secs payment_hash receiver_identity_public_key"
    ),
    "ReceivePaymentMethod.BITCOIN_ADDRESS": "new_address",
    "ReceivePaymentResponse": "payment_request fee cross_chain_info",
    "PaymentRequest.INPUT": "input",
    "PrepareSendPaymentRequest": (
        "payment_request amount token_identifier conversion_options fee_policy"
    ),
    "PrepareSendPaymentResponse": (
        "payment_method amount token_identifier conversion_estimate fee_policy"
    ),
    "SendPaymentMethod.BOLT11_INVOICE": "invoice_details spark_transfer_fee_sats lightning_fee_sats",
    "SendPaymentOptions.BOLT11_INVOICE": "prefer_spark completion_timeout_secs",
    "SendPaymentRequest": "prepare_response options idempotency_key",
    "SendPaymentResponse": "payment",
    "ListPaymentsRequest": (
        "type_filter status_filter asset_filter payment_details_filter from_timestamp to_timestamp "
        "offset limit sort_ascending"
    ),
    "ListPaymentsResponse": "payments",
    "PaymentDetailsFilter.LIGHTNING": "htlc_status",
    "Payment": "id payment_type status amount fees timestamp method details conversion_details",
    "PaymentDetails.LIGHTNING": (
        "description invoice destination_pubkey htlc_details lnurl_pay_info lnurl_withdraw_info "
        "lnurl_receive_metadata conversion_info"
    ),
    "SparkHtlcDetails": "payment_hash preimage expiry_time status",
    "ClaimHtlcPaymentRequest": "preimage",
    "BreezSdk.get_info": "request",
    "BreezSdk.receive_payment": "request",
    "BreezSdk.prepare_send_payment": "request",
    "BreezSdk.send_payment": "request",
    "BreezSdk.list_payments": "request",
    "BreezSdk.claim_htlc_payment": "request",
    "BreezSdk.add_event_listener": "listener",
    "BreezSdk.disconnect": "",
    "EventListener.on_event": "event",
}
_NAMES: Final = (
    *("Network.REGTEST", "Network.SIGNET", "Network.MAINNET"),
    *("PaymentType.SEND", "PaymentType.RECEIVE", "PaymentMethod.DEPOSIT"),
    *("PaymentStatus.PENDING", "PaymentStatus.COMPLETED", "PaymentStatus.FAILED"),
    *("SparkHtlcStatus.WAITING_FOR_PREIMAGE", "SparkHtlcStatus.RETURNED"),
    *("SdkError.InsufficientFunds", "SdkError.InvalidInput", "SyncWalletRequest"),
)

_OUT_OF_REACH: Final = ("dns error", "Transport error", "error sending request")


def load() -> ModuleType:
    """Import the SDK, which takes half a second, and check that it is the one we know.

    Raises `Misconfigured` if it is not installed, or changed.
    """
    try:
        sdk = import_module("breez_sdk_spark")
    except ModuleNotFoundError as error:
        raise Misconfigured("the Spark wallet is an extra: pip install 'pylon[spark]'") from error
    check(sdk)
    return sdk


def check(sdk: Any) -> None:
    """Compare what we use of the SDK with what it was when this was written."""
    for name, known in _KNOWN.items():
        if sorted(_arguments(_find(sdk, name))) != sorted(known.split()):
            raise _changed(name)
    for name in _NAMES:
        _find(sdk, name)


def _find(sdk: Any, name: str) -> Any:
    found = sdk
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise _changed(name)
    return found


def _arguments(thing: Any) -> list[str]:
    called = thing.__init__ if inspect.isclass(thing) else thing
    return [name for name in inspect.signature(called).parameters if name != "self"]


def _changed(name: str) -> Misconfigured:
    return Misconfigured(
        f"breez-sdk-spark has another {name} than Pylon knows: "
        f"pip install 'breez-sdk-spark=={VERSION}'"
    )


@frozen
class Spark:
    """One connected wallet of the SDK: its requests and answers, called from Trio."""

    sdk: Any  # the module
    _wallet: Any = field(repr=False)
    _bridge: Bridge = field(repr=False)

    async def __call__(self, method: str, request: Any) -> Any:
        """Call a method of the wallet.

        Raises `WalletUnavailable` for every failure but `SdkError.InsufficientFunds` and
        `SdkError.InvalidInput`, which say for certain that nothing has happened.
        """
        return await answered(
            self.sdk, self._bridge, lambda: getattr(self._wallet, method)(request=request)
        )

    async def listen(self, listener: Any) -> None:
        """Have a listener told of every event."""
        await answered(
            self.sdk, self._bridge, lambda: self._wallet.add_event_listener(listener=listener)
        )


async def answered(sdk: Any, bridge: Bridge, make: Callable[[], Awaitable[T]]) -> T:
    """Wait for an answer of the SDK's; see `Spark.__call__`."""
    with in_our_words(sdk), trio.move_on_after(ANSWER_SECONDS):
        return await bridge(make)
    raise WalletUnavailable(f"Spark does not answer for {ANSWER_SECONDS:g} s")


@contextmanager
def in_our_words(sdk: Any) -> Generator[None, None, None]:
    """Map the SDK's errors, except for the two that say that nothing has happened."""
    try:
        yield
    except (sdk.SdkError.InsufficientFunds, sdk.SdkError.InvalidInput):
        raise
    except sdk.SdkError as error:
        raise WalletUnavailable(f"Spark: {said(error)}") from error


def said(error: Exception) -> str:
    """Put what the SDK says into one short line."""
    text = " ".join(str(error).split()).strip("'\"")
    if any(words in text for words in _OUT_OF_REACH):
        return "its operators are out of reach: is there a network?"
    return text[:200] or type(error).__name__
