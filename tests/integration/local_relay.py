"""An independent relay as a program: nostr-sdk's, in memory. Prints its URL, ends with its input."""

import asyncio
import sys

from nostr_sdk import (
    LocalRelayBuilder,
    LocalRelayBuilderNip42,
    LocalRelayBuilderNip42Mode,
    RateLimit,
)

NO_LIMIT = 10_000_000


async def main(port: int, *, auth: bool, most_stored: int) -> None:
    builder = (
        LocalRelayBuilder()
        .addr("127.0.0.1")
        .port(port)
        .rate_limit(RateLimit(max_reqs=1_000, notes_per_minute=NO_LIMIT))
        .max_filter_limit(most_stored)
        .default_filter_limit(most_stored)
    )
    if auth:
        builder = builder.nip42(LocalRelayBuilderNip42(mode=LocalRelayBuilderNip42Mode.BOTH))
    relay = builder.build()
    await relay.run()
    print(await relay.url(), flush=True)  # noqa: T201 - for the test that started this
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), auth=sys.argv[2] == "auth", most_stored=int(sys.argv[3])))
