"""Reading the answer out of a result."""

from pylon.core import chat
from pylon.core.admission import CHAT_KIND
from pylon.errors import Malformed
from pylon.model.event import Event
from pylon.model.ids import Preimage
from pylon.wire import jobs, locked


def open_result(event: Event, hidden: str | None, preimage: Preimage | None) -> str:
    """Return a result's content; `hidden` is what was encrypted to us, decrypted.

    Raises:
        Malformed: if it cannot be read, or is locked and the preimage does not open it, or opens
            something else than was promised, or nothing.
    """
    result = jobs.read_result(event, hidden)
    if result.locked is None:
        return result.content
    if preimage is None:
        raise Malformed("the answer is locked, and its key is not paid for")
    text = locked.unlock(
        result.content, preimage, result.locked, job=result.job, provider=result.provider
    )
    if not text.strip():
        raise Malformed("the locked answer is empty")
    return text


def read_text(event: Event, hidden: str | None, preimage: Preimage | None) -> str:
    """Return the text of an answer, as `open_result` does; of a chat, what the assistant said."""
    content = open_result(event, hidden, preimage)
    is_chat = event.kind == jobs.result_kind(CHAT_KIND)
    return chat.read_answer(content).text if is_chat else content
