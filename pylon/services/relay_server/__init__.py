"""The relay: everybody's connections, one store."""

import logging
from collections.abc import Callable

from attrs import define, field

from pylon.core.relay_rules import RelayRules
from pylon.errors import Transient
from pylon.ports.clock import Clock
from pylon.ports.events import EventStore
from pylon.ports.relay import Wire
from pylon.services.relay_server.connection import Connection
from pylon.services.relay_server.hub import Hub

log = logging.getLogger(__name__)

_SWEEP_SECONDS = 60.0


@define(eq=False)
class RelayServer:
    """Serves any number of connections, each in the task that brings it."""

    _store: EventStore
    _rules: RelayRules
    _clock: Clock
    _new_challenge: Callable[[], str]  # unguessable, 16 bytes or more
    _hub: Hub = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._hub = Hub(self._store)

    async def serve(self, wire: Wire) -> None:
        """Serve one client until it leaves.

        Raises:
            PeerFault: if it had to be dropped, and why.
        """
        await Connection(wire, self._hub, self._rules, self._clock).run(self._new_challenge())

    async def sweep(self) -> None:
        """Remove what has expired, every minute, until cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.now() + _SWEEP_SECONDS)
            try:
                dropped = await self._store.drop_expired(self._clock.now())
            except Transient as trouble:
                log.warning("expired events stay for now: %s", trouble)
            else:
                log.debug("%d expired events removed", dropped)
