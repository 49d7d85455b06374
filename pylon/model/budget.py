"""What money is set aside for: whose budgets it counts in, which job it pays, and whom."""

from typing import NewType

from attrs import frozen

from pylon.model.ids import JobId, PublicKey

Scope = NewType("Scope", str)  # a budget's name: node, agent:alice, run:7
NODE = Scope("node")  # all spending of this home


@frozen
class Purpose:
    """What one payment is for. It counts in every scope of its path, and in each scope's caps."""

    order: JobId | None = None  # None: for no job, as when a person pays an invoice
    provider: PublicKey | None = None
    scopes: tuple[Scope, ...] = (NODE,)  # the widest first, each once
