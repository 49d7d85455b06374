"""A small HTTPS server for doubles of wallets: requests in, replies or streams of lines out."""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import h11
import msgspec
import trio
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@frozen
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@frozen
class Reply:
    """A JSON document, raw bytes, or lines that come one by one; None cuts the connection."""

    value: Any = None
    status: int = 200
    lines: AsyncGenerator[Any, None] | None = None


Answer: TypeAlias = Callable[[Asked], Awaitable[Reply | None]]


@cache
def certificate(name: str) -> tuple[bytes, bytes]:
    """Return a certificate for loopback and its key, in PEM; self-signed, as lnd makes one.

    That of `leaf` is signed by somebody else.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    is_leaf = name == "leaf"
    signing = ec.generate_private_key(ec.SECP256R1()) if is_leaf else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority" if is_leaf else name)])
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not is_leaf, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(signing, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return made.public_bytes(serialization.Encoding.PEM), pem


@asynccontextmanager
async def serving(
    answer: Answer, folder: Path, *, name: str = "lnd"
) -> AsyncGenerator[tuple[str, Path], None]:
    """Serve on a free port of loopback; yields the URL and the file of the certificate."""
    public, secret = certificate(name)
    chain, key = folder / f"{name}.cert", folder / f"{name}.key"
    chain.write_bytes(public)
    key.write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(
            0, context, host="127.0.0.1", https_compatible=True
        )
        transport = listeners[0].transport_listener
        assert isinstance(transport, trio.SocketListener)
        port = transport.socket.getsockname()[1]
        nursery.start_soon(partial(trio.serve_listeners, partial(_serve, answer), listeners))
        yield f"https://127.0.0.1:{port}", chain
        nursery.cancel_scope.cancel()


async def _serve(answer: Answer, stream: trio.abc.Stream) -> None:
    peer = h11.Connection(h11.SERVER)
    try:
        while (asked := await _read(peer, stream)) is not None:
            reply = await answer(asked)
            if reply is None:
                return
            await _write(peer, stream, reply)
            if peer.our_state is not h11.DONE:
                return
            peer.start_next_cycle()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass  # the client has left, or does not trust us
    finally:
        await trio.aclose_forcefully(stream)


async def _read(peer: h11.Connection, stream: trio.abc.Stream) -> Asked | None:
    head, body = None, b""
    while True:
        event = peer.next_event()
        match event:
            case h11.NEED_DATA:
                peer.receive_data(bytes(await stream.receive_some()))
            case h11.Request():
                head = event
            case h11.Data():
                body += event.data
            case h11.EndOfMessage() if head is not None:
                where = urlsplit(head.target.decode())
                query = {k: v for k, (v,) in parse_qs(where.query, strict_parsing=False).items()}
                headers = {name.decode(): value.decode() for name, value in head.headers}
                return Asked(head.method.decode(), where.path, query, headers, body)
            case _:
                return None


async def _write(peer: h11.Connection, stream: trio.abc.Stream, reply: Reply) -> None:
    head = h11.Response(status_code=reply.status, headers=[("Content-Type", "application/json")])
    if reply.lines is None:
        raw = reply.value if isinstance(reply.value, bytes) else msgspec.json.encode(reply.value)
        await _send(peer, stream, head, h11.Data(data=raw), h11.EndOfMessage())
        return
    begun = False
    async with aclosing(reply.lines) as lines:
        async for line in lines:  # as lnd does it, the head comes with the first message
            data = h11.Data(data=msgspec.json.encode(line) + b"\n")
            await _send(peer, stream, *([] if begun else [head]), data)
            begun = True
    await _send(peer, stream, *([] if begun else [head]), h11.EndOfMessage())


async def _send(peer: h11.Connection, stream: trio.abc.Stream, *events: Any) -> None:
    await stream.send_all(b"".join(peer.send(event) or b"" for event in events))
