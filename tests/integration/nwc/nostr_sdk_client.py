"""nostr-sdk's NWC client as a program: `python -m tests.integration.nwc.nostr_sdk_client`.

The first line it is told is the connection string, as JSON; each line after it is {"call", "args"},
answered by {"result"} or {"error"}.
"""

import asyncio
import json
import sys
from typing import Any

from nostr_sdk import (
    ListTransactionsRequest,
    LookupInvoiceRequest,
    MakeInvoiceRequest,
    NostrSdkError,
    NostrWalletConnect,
    NostrWalletConnectUri,
    PayInvoiceRequest,
)

LOOKUP: dict[str, Any] = {"payment_hash": None, "invoice": None}
LIST: dict[str, Any] = dict.fromkeys(
    ("_from", "until", "limit", "offset", "unpaid", "transaction_type")
)
MAKE: dict[str, Any] = dict.fromkeys(("description", "description_hash", "expiry"))


def say(value: object) -> None:
    print(json.dumps(value, default=str), flush=True)  # noqa: T201 - for the test that started this


async def call(wallet: NostrWalletConnect, name: str, args: Any) -> Any:
    match name:
        case "get_balance":
            return vars(await wallet.get_balance())
        case "get_info":
            info = await wallet.get_info()
            return {"network": info.network, "pubkey": info.pubkey, "methods": len(info.methods)}
        case "make_invoice":
            return vars(await wallet.make_invoice(MakeInvoiceRequest(**MAKE | args)))
        case "lookup_invoice":
            return vars(await wallet.lookup_invoice(LookupInvoiceRequest(**LOOKUP | args)))
        case "list_transactions":
            listed = await wallet.list_transactions(ListTransactionsRequest(**LIST | args))
            return [vars(each) for each in listed]
        case _:
            request = PayInvoiceRequest(id=None, amount=None, **args)
            return vars(await wallet.pay_invoice(request))


async def main() -> None:
    loop = asyncio.get_running_loop()
    uri = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    wallet = NostrWalletConnect(NostrWalletConnectUri.parse(uri))
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = json.loads(line)
        try:
            say({"result": await call(wallet, asked["call"], asked.get("args", {}))})
        except NostrSdkError as error:
            say({"error": str(error)})


if __name__ == "__main__":
    asyncio.run(main())
