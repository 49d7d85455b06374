"""What a BOLT-11 invoice says; `wire.bolt11` reads and writes its text."""

from attrs import frozen

from pylon.model.ids import NodeKey, PaymentHash
from pylon.model.money import Msat, Network

DEFAULT_EXPIRY_SECONDS = 3600
DEFAULT_MIN_FINAL_CLTV = 18


@frozen
class Fallback:
    """An on-chain address to fall back on: segwit program 0-16, or 17 P2PKH, 18 P2SH."""

    version: int
    program: bytes


@frozen
class RouteHop:
    """One private channel on the way to the payee."""

    node_key: NodeKey
    short_channel_id: int  # block 24 bits, transaction 24, output 16
    fee_base: Msat
    fee_ppm: int  # millionths of the amount
    cltv_delta: int  # blocks


@frozen
class Invoice:
    """A request for payment, signed by `payee`. Its description is a stranger's text.

    Exactly one of `description` and `description_hash` is there.
    """

    network: Network
    amount: Msat | None  # None: the payer chooses
    created_at: int  # unix seconds
    payment_hash: PaymentHash
    payment_secret: str  # 64 hex
    payee: NodeKey
    description: str | None = None
    description_hash: str | None = None  # 64 hex: sha256 of a description kept elsewhere
    expiry_seconds: int = DEFAULT_EXPIRY_SECONDS
    min_final_cltv: int = DEFAULT_MIN_FINAL_CLTV  # blocks
    features: frozenset[int] = frozenset()  # bit numbers of BOLT-9, even: required
    metadata: bytes | None = None
    fallbacks: tuple[Fallback, ...] = ()
    routes: tuple[tuple[RouteHop, ...], ...] = ()

    @property
    def expires_at(self) -> int:
        """The unix second after which it should not be paid."""
        return self.created_at + self.expiry_seconds
