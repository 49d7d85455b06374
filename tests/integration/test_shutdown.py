"""How a node ends when it is asked to, and who may run at the same time."""

from pylon.model.filter import Filter
from tests.integration.market import ANSWER, BUYER, HELD, SELLER, Market, Process, published

QUESTION = f"What is 2+2? But {HELD}."


async def start_a_paid_job(market: Market) -> Process:
    tokens = ("job", "submit", QUESTION, "--auto-pay", "--json", "--pay", "prepay")
    buying = await market.start(BUYER, *tokens)
    await market.ordered("paid")
    return buying


async def test_a_node_asked_to_stop_finishes_the_job_in_hand_and_withdraws(market: Market) -> None:
    await market.serve_relay()
    node, _ = await market.serve(PYLON_GRACE_SECONDS="30")
    buying = await start_a_paid_job(market)
    node.interrupt()
    await node.said("finishing the jobs in hand")
    market.backend.let_go.set()
    assert (await node.end()).status == 0
    assert (await buying.end()).json["answer"] == ANSWER
    assert await published(market.relay_url, Filter(kinds=(31990,))) == []
    assert len(await market.earnings()) == 1


async def test_what_a_node_could_not_finish_in_time_goes_on_at_its_next_start(
    market: Market,
) -> None:
    await market.serve_relay()
    node, _ = await market.serve(PYLON_GRACE_SECONDS="1")
    buying = await start_a_paid_job(market)
    node.interrupt()
    assert (await node.end()).status == 0
    market.backend.let_go.set()
    await market.serve()
    assert (await buying.end()).json["answer"] == ANSWER
    assert len(await market.earnings()) == 1


async def test_asked_twice_a_node_ends_at_once(market: Market) -> None:
    node, _ = await market.serve(PYLON_GRACE_SECONDS="3600")
    await start_a_paid_job(market)
    node.interrupt()
    await node.said("once more to stop at once")
    node.interrupt()
    assert (await node.end()).status == 0


async def test_a_home_runs_one_node_and_buys_beside_it(market: Market) -> None:
    await market.serve()
    second = await market.pylon(SELLER, "run")
    assert second.status == 2
    assert "in use by another pylon" in second.err
    await market.ok(SELLER, "wallet", "fund", "100")
    ended = await market.pylon(SELLER, "job", "list", "--json")
    assert (ended.status, ended.json) == (0, [])


async def test_two_nodes_started_at_once_share_one_relay(market: Market) -> None:
    _, seller = await market.serve()
    _, other = await market.serve("other")
    assert (seller["bundled_relay"], other["bundled_relay"]) == (True, False)
    ended = await market.submit("What is 2+2?", "--provider", other["npub"])
    assert (ended.status, ended.json["provider"]) == (0, other["pubkey"])
