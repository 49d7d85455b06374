"""`pylon whoami`, also `pylon wallet whoami`."""

from functools import partial

from pylon.cli import passphrase
from pylon.cli.context import AsJson, InContext
from pylon.cli.output import emit, fields


def whoami(*, json: AsJson = False, context: InContext) -> None:
    """Show who this node is: its Nostr key, its network, its node key on the embedded ledger.

    Another wallet has a node key of its own: `pylon wallet status` shows it.

    $ pylon whoami
    $ pylon wallet whoami --json
    """
    from pylon.app.identity import unlock
    from pylon.model.money import Network

    network = Network(context.config().node.network)
    who = unlock(context.home(), network, ask_passphrase=partial(passphrase.current, context))
    value = {
        "npub": who.npub,
        "pubkey": who.public_key,
        "node_key": who.node_key,
        "network": who.network.value,
    }
    rows = [(name.replace("_", " "), shown) for name, shown in value.items()]
    emit(value, as_json=json, text=fields(rows))
