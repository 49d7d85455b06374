"""`pylon completion`."""

from typing import Literal

from pylon.cli.output import data


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print the script that completes pylon's commands and options with Tab.

    $ pylon completion bash > ~/.local/share/bash-completion/completions/pylon
    $ pylon completion zsh > ~/.zfunc/_pylon
    $ pylon completion fish > ~/.config/fish/completions/pylon.fish

    Parameters
    ----------
    shell
        The shell to write for.
    """
    from pylon.cli import app

    data(app.meta.generate_completion(shell=shell, prog_name="pylon"))
