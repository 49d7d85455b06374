"""Jobs as they travel (NIP-90): requests, feedback, results and their cancellation.

Both dialects of the field are read: inputs called `prompt`, content in place of an input, feedback
whose tags are all inside the ciphertext. What is encrypted the caller decrypts first.
"""

from pylon.wire.jobs.cancel import read_cancel, write_cancel
from pylon.wire.jobs.feedback import FEEDBACK_KIND, read_feedback, write_feedback
from pylon.wire.jobs.refund import (
    RefundRequest,
    asks_refund,
    hide_refund,
    read_refund,
    write_refund,
)
from pylon.wire.jobs.request import (
    REQUEST_KINDS,
    hide_request,
    read_request,
    write_request,
)
from pylon.wire.jobs.result import RESULT_KINDS, read_result, result_kind, write_result
from pylon.wire.jobs.tags import encryption_of

__all__ = [
    "FEEDBACK_KIND",
    "REQUEST_KINDS",
    "RESULT_KINDS",
    "RefundRequest",
    "asks_refund",
    "encryption_of",
    "hide_refund",
    "hide_request",
    "read_cancel",
    "read_feedback",
    "read_refund",
    "read_request",
    "read_result",
    "result_kind",
    "write_cancel",
    "write_feedback",
    "write_refund",
    "write_request",
    "write_result",
]
