"""Every error Pylon raises on purpose, grouped by what the catcher should do.

    PylonError
    ├── Transient        wait and try again: the supervisor restarts the service
    ├── PeerFault        the other side misbehaved: drop its message, count it, keep going
    └── Misconfigured    nothing will help but a human: exit with one line that says what to do

Anything else that escapes is a bug, and is left to end the process with a traceback.
"""


class PylonError(Exception):
    """Base of the tree; catch it only at the edge of the program."""


class Transient(PylonError):
    """The same call may succeed later."""


class RelayLost(Transient):
    """The connection to a relay could not be made, or ended while in use."""

    def __init__(self, url: str, why: str = "connection lost") -> None:
        super().__init__(f"{url}: {why}")
        self.url = url
        self.why = why


class WalletUnavailable(Transient):
    """The wallet did not answer; what it was asked may or may not have happened."""


class StoreBusy(Transient):
    """Another program holds the database."""


class StoreFull(Transient):
    """The disk or the database is full; nothing was written."""


class BackendUnavailable(Transient):
    """An inference backend cannot generate now."""


class GenerationFailed(Transient):
    """A generation started and did not end well: stalled, cut, empty or out of time."""


class PeerFault(PylonError):
    """A peer sent something it should not have."""


class Malformed(PeerFault):
    """Text from outside could not be read."""


class BadSignature(PeerFault):
    """A signature or an id does not fit what it is said to cover."""


class Undecryptable(PeerFault):
    """An encrypted payload is broken, or not for this key."""


class BadInvoice(PeerFault):
    """A BOLT-11 invoice breaks the standard."""


class Misconfigured(PylonError):
    """The program was asked for something that cannot work; the message says what to do."""


class InUse(Misconfigured):
    """Another process does here what only one may do."""


class OverBudget(Misconfigured):
    """The budget does not allow a payment, by a cap or a pause; nothing was paid."""
