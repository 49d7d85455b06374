"""How long to wait before the next try."""

from attrs import frozen

_ENOUGH_DOUBLINGS = 62  # beyond any ceiling, and far from overflow


@frozen
class Backoff:
    """Doubling delays with a ceiling; both in seconds."""

    first: float = 1.0
    ceiling: float = 60.0

    def after(self, failures: int, fraction: float) -> float:
        """Return the delay after so many failures in a row (at least one).

        Half of it is fixed and half is chosen by `fraction`, a random number in [0, 1), so that
        those who failed together do not come back together.
        """
        whole = min(self.first * 2.0 ** min(failures - 1, _ENOUGH_DOUBLINGS), self.ceiling)
        return whole * (1.0 + fraction) / 2.0
