"""Starting supervised actors in a nursery."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial

import trio
from attrs import define, field

from pylon.services.supervisor import RestartPolicy, Service, Vitals, supervise


@define
class Actors:
    """The nursery of actors, and how each of them fares."""

    nursery: trio.Nursery
    policy: RestartPolicy = field(factory=RestartPolicy)
    vitals: list[Vitals] = field(factory=list)

    async def start(
        self,
        name: str,
        service: Service,
        *,
        owns: Iterable[AbstractContextManager[object]] = (),
    ) -> None:
        """Start a service under supervision; return when it says that it has started."""
        vitals = Vitals(name)
        self.vitals.append(vitals)
        await self.nursery.start(
            partial(supervise, service, self.policy, vitals=vitals, owns=tuple(owns))
        )
