"""Run a program for as long as somebody holds our stdin: `python leash.py PROGRAM ARGUMENT ...`.

A test run that is killed closes the pipe, and takes the program with it. Prints the program's pid.
"""

import os
import subprocess
import sys
import threading


def main() -> None:
    program = subprocess.Popen(  # noqa: S603 - what the tests run
        sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr
    )
    sys.stdout.write(f"{program.pid}\n")
    sys.stdout.flush()
    threading.Thread(target=_kill_when_let_go, args=(program,), daemon=True).start()
    program.wait()
    os._exit(0)  # the other thread may be reading


def _kill_when_let_go(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):
        pass
    program.kill()


if __name__ == "__main__":
    main()
