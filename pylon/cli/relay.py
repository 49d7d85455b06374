"""`pylon relay`."""

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import say
from pylon.cli.signals import ENDING, no_interrupts
from pylon.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def relay(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))] = 7777,
    auth: bool = False,
    store: Path | None = None,
    url: tuple[str, ...] = (),
    name: str = "pylon",
) -> int:
    """Serve a small Nostr relay on this machine until interrupted.

    It listens on loopback only and knows no TLS: others reach it through a proxy.

    $ pylon relay
    $ pylon relay --store ~/relay.db --auth
    $ pylon relay --url wss://relay.example.com

    Parameters
    ----------
    port
        The TCP port; 0 takes any that is free.
    auth
        Let nobody read or write who has not authenticated (NIP-42).
    store
        Keep events in this file, made if need be (default: in memory, the last 100,000).
    url
        Another URL that clients know this relay by, as behind a proxy; they authenticate to it.
    name
        What the relay calls itself (NIP-11).
    """
    import trio

    from pylon.app.relay import serve_relay
    from pylon.core.relay_rules import RelayRules
    from pylon.wire.relay_url import normalise

    try:
        rules = RelayRules(auth=auth, urls=frozenset(map(normalise, url)))
    except Malformed as error:
        raise Misconfigured(f"--url: {error}") from error
    serve = partial(serve_relay, port=port, store=store, rules=rules, name=name)
    with no_interrupts():
        return trio.run(_until_signal, serve)


async def _until_signal(serve: "Callable[..., Awaitable[None]]") -> int:
    import trio

    with trio.open_signal_receiver(*ENDING) as signals:
        async with trio.open_nursery() as nursery:
            url = await nursery.start(serve)
            say(f"relay at {url}")
            number = await anext(signals)
            nursery.cancel_scope.cancel("asked to stop")
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.OK
