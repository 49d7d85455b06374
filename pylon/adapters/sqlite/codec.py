"""Machines as JSON: facts of one class, states of several, told apart by the name of the class."""

from collections.abc import Iterable
from typing import Generic, TypeVar, get_args

import msgspec
from attrs import frozen

from pylon.errors import Misconfigured
from pylon.model.event import Event
from pylon.model.job import Job, JobState
from pylon.model.order import Order, OrderState

F = TypeVar("F")
S = TypeVar("S")
T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_event = msgspec.json.Decoder(Event)


def to_json(value: object) -> str:
    """Write a value of the model, or a list of strings, as compact JSON."""
    return _encode(value).decode()


def read_event(text: str) -> Event:
    """Read an event back; raise `Misconfigured` if it is damaged."""
    return _decode(_event, text, "an event")


@frozen(eq=False)
class Codec(Generic[F, S]):
    """How one sort of machine is read."""

    table: str
    _facts: msgspec.json.Decoder[F]
    _states: dict[str, msgspec.json.Decoder[S]]

    @classmethod
    def of(cls, table: str, facts: type[F], states: Iterable[type[S]]) -> "Codec[F, S]":
        """Make the decoders, once: making one costs a thousand times using it."""
        decoders = {state.__name__: msgspec.json.Decoder(state) for state in states}
        return cls(table, msgspec.json.Decoder(facts), decoders)

    def facts(self, text: str) -> F:
        """Read facts; raise `Misconfigured` if this version cannot."""
        return _decode(self._facts, text, f"facts in {self.table}")

    def state(self, phase: str, text: str) -> S:
        """Read a state; raise `Misconfigured` if this version cannot."""
        decoder = self._states.get(phase)
        if decoder is None:
            raise Misconfigured(f"{self.table}: {phase!r} was written by a newer Pylon: upgrade")
        return _decode(decoder, text, f"{phase} in {self.table}")


def _decode(decoder: msgspec.json.Decoder[T], text: str, what: str) -> T:
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        raise Misconfigured(
            f"the database holds {what} that cannot be read, written by another version or damaged"
        ) from error


JOBS: Codec[Job, JobState] = Codec.of("jobs", Job, get_args(JobState))
ORDERS: Codec[Order, OrderState] = Codec.of("orders", Order, get_args(OrderState))
