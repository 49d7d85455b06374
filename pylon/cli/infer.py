"""`pylon infer`."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from pylon.cli.context import AsJson, Context, InContext
from pylon.cli.exit_codes import ExitCode
from pylon.cli.output import data, emit, say
from pylon.cli.output import stream as stream_out
from pylon.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from pylon.core.chat import ChatRequest
    from pylon.model.inference import Completion
    from pylon.ports.inference import Generation

BackendName = Literal["llamacpp", "ollama", "apple_fm", "openai", "embedded"]


def infer(
    prompt: str | None = None,
    *,
    model: str | None = None,
    backend: BackendName | None = None,
    stream: Annotated[bool, Parameter(negative="--no-stream")] = True,
    max_tokens: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    temperature: Annotated[float | None, Parameter(validator=Number(gte=0, lte=2))] = None,
    top_p: Annotated[float | None, Parameter(validator=Number(gt=0, lte=1))] = None,
    top_k: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    seed: int | None = None,
    system: str | None = None,
    json: AsJson = False,
    context: InContext,
) -> int:
    """Ask a backend of this machine, without a job and without a payment.

    $ pylon infer --prompt "Hello"
    $ pylon infer "Name three rivers" --model ollama:llama3.2 --max-tokens 60
    $ git diff | pylon infer --system "Write a commit message" --no-stream

    Parameters
    ----------
    prompt
        What to ask (default: all of standard input).
    model
        A model, with or without its backend: llama3.2, llamacpp:gpt_oss_20b.
    backend
        Which backend (default: the first in backends.order that can generate).
    stream
        Show the answer as it comes, or all at once.
    max_tokens
        Longest answer (default: backends.max_tokens).
    temperature
        0 is the likeliest answer, up to 2 is ever more surprising.
    top_p
        Choose among the likeliest tokens that make up this share, above 0 and up to 1.
    top_k
        Choose among so many of the likeliest tokens.
    seed
        The same seed gives the same answer, where the backend can.
    system
        Instructions that go before the prompt.
    """
    import trio

    if prompt is None and sys.stdin.isatty():
        raise Misconfigured('nothing to ask: pylon infer --prompt "Hello"')
    given = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "seed": seed,
    }
    params = {name: str(value) for name, value in given.items() if value is not None}
    request = _request(prompt, params, backend=backend, model=model, system=system)
    return trio.run(_infer, context, request, stream and not json, json)


def _request(
    prompt: str | None,
    params: dict[str, str],
    *,
    backend: str | None,
    model: str | None,
    system: str | None,
) -> "ChatRequest":
    from attrs import evolve

    from pylon.core.backends import combine
    from pylon.core.chat import read_params, with_system

    try:
        text = sys.stdin.read() if prompt is None else prompt
        if not text.strip():
            raise Misconfigured('the prompt is empty: pylon infer --prompt "Hello"')
        for given in (text, system or ""):
            given.encode()
        request = read_params(params.items(), text)
        asked = with_system(request.prompt, system) if system else request.prompt
        return evolve(request, prompt=asked, wanted=combine(backend=backend, model=model))
    except Malformed as exc:
        raise Misconfigured(str(exc)) from exc
    except UnicodeError as exc:
        raise Misconfigured("the prompt is not UTF-8 text") from exc


async def _infer(context: Context, request: "ChatRequest", stream: bool, json: bool) -> int:
    import trio
    from attrs import evolve

    from pylon.app.inference import open_backends, pick

    config = context.config().backends
    folder = context.home().models
    began = trio.current_time()
    async with open_backends(config, context.environ, models_folder=folder) as backends:
        picked = await pick(backends, config, request.wanted)
        prompt = evolve(request.prompt, model=picked.model)
        with trio.move_on_after(config.job_timeout_seconds):
            async with picked.backend.generate(prompt) as generation:
                completion = await _shown(generation, stream=stream)
            _conclude(completion, trio.current_time() - began, stream=stream, json=json)
            return ExitCode.OK
    say(f"pylon: no whole answer within {config.job_timeout_seconds} s", style="red")
    return ExitCode.TIMEOUT


async def _shown(generation: "Generation", *, stream: bool) -> "Completion":
    if stream:
        async for piece in generation:
            stream_out(piece)
        stream_out("\n")
    return await generation.completion()


def _conclude(completion: "Completion", seconds: float, *, stream: bool, json: bool) -> None:
    if json:
        from attrs import asdict

        emit(asdict(completion) | {"seconds": round(seconds, 3)}, as_json=True, text="")
        return
    if not stream:
        data(completion.text)
    tokens = completion.usage.completion_tokens
    cut = "; cut at the limit of tokens" if completion.finish_reason == "length" else ""
    who = f"{completion.backend}:{completion.model}"
    say(f"{who}: {tokens} tokens in {seconds:.1f} s{cut}", style="dim")
