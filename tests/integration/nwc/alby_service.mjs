// Alby's NWC wallet service as a program: `node alby_service.mjs RELAY`. What it is asked it says
// as {"method", "params"}, and the next line it is told is its answer: {"result"} or {"error"}.
// The first line it is told is {"wallet", "client"}: the wallet's secret key, the client's public one.
import { createInterface } from "node:readline";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket;
console.log = console.info = console.debug = console.error; // stdout is for answers
const { NWCWalletService, NWCWalletServiceKeyPair } = await import("@getalby/sdk/nwc");

const METHODS = {
  getInfo: "get_info",
  getBalance: "get_balance",
  makeInvoice: "make_invoice",
  payInvoice: "pay_invoice",
  lookupInvoice: "lookup_invoice",
  listTransactions: "list_transactions",
};
const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let turn = Promise.resolve();

const ask = (method) => (params) => {
  const answer = turn.then(async () => {
    say({ method, params: params ?? {} });
    const { result, error } = JSON.parse((await lines.next()).value);
    return { result: result ?? undefined, error: error ?? undefined };
  });
  turn = answer.catch(() => undefined);
  return answer;
};
const handler = Object.fromEntries(
  Object.entries(METHODS).map(([name, method]) => [name, ask(method)]),
);

const { wallet, client } = JSON.parse((await lines.next()).value);
const service = new NWCWalletService({ relayUrl: process.argv[2] });
await service.publishWalletServiceInfoEvent(wallet, Object.values(METHODS), []);
await service.subscribe(new NWCWalletServiceKeyPair(wallet, client), handler);
say({ ready: true });
