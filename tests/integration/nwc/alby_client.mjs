// Alby's NWC client as a program. The first line it is told is the connection string, as JSON; each line
// after it is {"call", "args"}, answered by {"result"} or {"error": {code, message}}. What the
// wallet tells by itself is a line {"told"}.
import { createInterface } from "node:readline";
import WebSocket from "ws";

globalThis.WebSocket = WebSocket;
console.log = console.info = console.debug = console.error; // stdout is for answers
const { NWCClient } = await import("@getalby/sdk/nwc");

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const client = new NWCClient({ nostrWalletConnectUrl: JSON.parse((await lines.next()).value) });
await client.subscribeNotifications((told) => say({ told }));
await client.getWalletServiceInfo();
await client.getBalance(); // the encryption is chosen with the first request
say({ result: { encryption: client.encryptionType } });

for await (const line of lines) {
  const { call, args } = JSON.parse(line);
  try {
    say({ result: await client[call](args) });
  } catch (error) {
    say({ error: { code: error.code ?? error.name, message: error.message } });
  }
}
client.close();
process.exit(0);
