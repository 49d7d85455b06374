"""Remembering a bounded number of things, the latest."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from attrs import define, field

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@define
class Recent(Generic[K, V]):
    """The last `limit` keys put in, each with a value; the oldest makes room."""

    limit: int
    _values: OrderedDict[K, V] = field(factory=OrderedDict, init=False)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """Return what was put in under `key`, if it is remembered."""
        return self._values.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember `value`, replacing what `key` had; its age stays that of the first."""
        self._values[key] = value
        if len(self._values) > self.limit:
            self._values.popitem(last=False)
