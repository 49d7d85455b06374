"""How many jobs the pure core and the wire can do on one core: `python -m benchmarks.engine`."""

import time
from itertools import cycle

from benchmarks.parts import ANSWER, MODEL, PROVIDER, SLOTS, config, request
from benchmarks.rows import Row, rate, show
from pylon.core import admission, job_machine
from pylon.core.admission import Service, Terms
from pylon.core.open_jobs import Load
from pylon.model.event import Event
from pylon.model.inference import BackendHealth
from pylon.model.job import Finished, Job, JobRequest
from pylon.wire import event as events
from pylon.wire import frames, jobs
from pylon.wire.frames import Found, Submit, encode
from pylon.wire.secp import KeyPair, verify_schnorr

JOBS = 200
_CONFIG = config(paid=False)
_HEALTHS = (BackendHealth("llamacpp", available=True, models=(MODEL,), slots=SLOTS),)
_SERVICE = Service(_CONFIG.provider, _CONFIG.pricing, _CONFIG.backends, _HEALTHS)


def measure() -> list[Row]:
    """Measure a free job without and with the check of its request, beside the crypto alone."""
    texts = [encode(Found("jobs", request(_CONFIG))) for _ in range(JOBS)]
    now, key = int(time.time()), KeyPair(b"\x02" * 32)
    unchecked, checked = cycle(texts), cycle(texts)
    digest = bytes(32)
    signature = key.sign32(digest)
    signing = rate(lambda: key.sign32(digest))
    verifying = rate(lambda: verify_schnorr(key.public_key, digest, signature))
    includes = "parse, admit, machine, instant answer, sign and write the result; no relay, no disk"
    return [
        Row(
            "engine",
            rate(lambda: serve(next(unchecked), now, check=False)),
            f"{includes}, request not verified, no feedback",
            signing,
            15_000,
        ),
        Row(
            "engine, verified",
            rate(lambda: serve(next(checked), now, check=True)),
            "the same, with the request's id and signature checked",
            1 / (1 / signing + 1 / verifying),
        ),
    ]


def serve(text: str, now: int, *, check: bool) -> str:
    """Serve one request, from its frame to the frame of its result."""
    frame = frames.decode_relay(text)
    assert isinstance(frame, Found)
    if check:
        events.check(frame.event)
    asked = jobs.read_request(frame.event)
    terms = admission.admit(asked, _SERVICE, Load(0, 0), me=PROVIDER.public_key, now=now)
    assert isinstance(terms, Terms)
    job = admitted(frame.event, asked, terms, now)
    begun = job_machine.begin(job, now)
    result = PROVIDER.sign(
        jobs.write_result(job.request, events.clean(ANSWER), now=now, mode=job.mode)
    )
    step = job_machine.advance(job, begun.state, job_machine.Answered(result), now)
    assert isinstance(step.state, Finished)
    return encode(Submit(result))


def admitted(event: Event, asked: JobRequest, terms: Terms, now: int) -> Job:
    return Job(
        id=asked.id,
        request=event,
        prompt=terms.prompt,
        backend=terms.backend,
        model=terms.model,
        mode=terms.mode,
        price=terms.price,
        encryption=asked.encryption,
        accepted_at=now,
        offer_seconds=terms.offer_seconds,
        work_seconds=terms.work_seconds,
    )


if __name__ == "__main__":
    show(measure())
