"""Names for the strings that identify things, so that one cannot be passed for another."""

from typing import NewType

EventId = NewType("EventId", str)  # 64 lower-case hex characters: sha256 of the serialised event
PublicKey = NewType("PublicKey", str)  # 64 lower-case hex characters: x-only secp256k1 key
JobId = NewType("JobId", EventId)  # a job is known, on both sides, by its request's event id
PaymentHash = NewType("PaymentHash", str)  # 64 hex: sha256(preimage)
Preimage = NewType("Preimage", str)  # 64 hex: the proof of payment
NodeKey = NewType("NodeKey", str)  # 66 hex: compressed Lightning node public key
RelayUrl = NewType("RelayUrl", str)  # ws:// or wss://, normalised by `wire.relay_url`
