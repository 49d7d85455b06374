"""A network that can be cut: a TCP proxy on a port of its own, between the nodes and the relay."""

from contextlib import suppress
from functools import partial

import trio
from attrs import define, field

CHUNK_BYTES = 65_536


@define
class Cable:
    """Passes bytes on in both directions until it is cut; then every connection ends at once."""

    target: int  # TCP port on loopback
    _open: set[trio.CancelScope] = field(factory=set, init=False)

    async def serve(self, *, task_status: trio.TaskStatus[int]) -> None:
        """Serve until cancelled; start with the port."""
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, self._join, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            task_status.started(listener.socket.getsockname()[1])

    def cut(self) -> int:
        """Cut every connection; return how many there were."""
        count = len(self._open)
        for scope in tuple(self._open):
            scope.cancel()
        return count

    async def _join(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as scope, suppress(OSError, trio.BrokenResourceError):
            self._open.add(scope)
            try:
                far = await trio.open_tcp_stream("127.0.0.1", self.target)
                async with far, trio.open_nursery() as nursery:
                    nursery.start_soon(_pump, near, far, nursery.cancel_scope)
                    nursery.start_soon(_pump, far, near, nursery.cancel_scope)
            finally:
                self._open.discard(scope)


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
    """Pass bytes on; the end of one direction is the end of both."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while piece := await source.receive_some(CHUNK_BYTES):
            await sink.send_all(piece)
    both.cancel()
