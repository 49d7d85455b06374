"""Partial answers, put in order: relays may pass them on in any, and some more than once."""

from attrs import define, field

MAX_WAITING = 256  # pieces kept for one that is missing; the result says it all again


@define
class Pieces:
    """The beginning of an answer, as far as it is known without a gap."""

    text: str = field(default="", init=False)
    _next: int = field(default=0, init=False)
    _waiting: dict[int, str] = field(factory=dict, init=False)

    def add(self, seq: int | None, piece: str) -> str:
        """Take a piece in; return what can be shown now that could not before.

        `seq` counts from 0. Without one, as strangers send them, a piece is taken as it comes.
        """
        if seq is None:
            self.text += piece
            return piece
        if seq == self._next or (seq > self._next and len(self._waiting) < MAX_WAITING):
            self._waiting.setdefault(seq, piece)
        ready = ""
        while self._next in self._waiting:
            ready += self._waiting.pop(self._next)
            self._next += 1
        self.text += ready
        return ready

    def rest_of(self, answer: str) -> str | None:
        """Return what of an answer is not known yet; None if it does not go on from here."""
        return answer[len(self.text) :] if answer.startswith(self.text) else None
