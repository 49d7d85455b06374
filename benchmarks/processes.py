"""Benchmarked programs in processes of their own, told what to do line by line."""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import trio
from attrs import frozen

Answer = Callable[[str], Awaitable[object]]


@frozen
class Child:
    """The parent's end. `hello` is the line that the child began with, when it was ready."""

    process: subprocess.Popen[str]
    hello: str

    def ask(self, question: str) -> str:
        """Send a line and wait for the line that answers it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        return _line(self.process)

    def cpu(self) -> float:
        """Return the CPU seconds that the child has used, all threads together."""
        return float(self.ask("cpu"))


@contextmanager
def child(module: str, *arguments: object) -> Generator[Child, None, None]:
    """Run `python -m module arguments...` until the block ends."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603 - a benchmark of ours
        try:
            yield Child(process, _line(process))
        finally:
            process.kill()


async def answer_parent(hello: object, answer: Answer) -> None:
    """Be a child: say hello, then answer each line with what `answer` makes of it."""
    print(hello, flush=True)
    async for line in trio.wrap_file(sys.stdin):
        question = line.strip()
        told = time.process_time() if question == "cpu" else await answer(question)
        print(told, flush=True)


async def no_answer(question: str) -> None:
    """Answer nothing: for children that are only asked for their CPU time."""
    raise ValueError(question)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "the child has ended"
    return line
