// Publish one signal and wait for its end: node publish_and_wait.js TICKER b|s [FIELD VALUE]...
// Exit code: 0 filled (or dry run), 1 ended otherwise, 2 wrong usage, 3 no end within WAIT_SECONDS.
import { randomUUID } from "node:crypto";
import { createClient } from "redis";

const STREAM = process.env.STREAM ?? "nvda";
const EXECUTIONS = process.env.EXECUTIONS_STREAM ?? "executions";
const WAIT_SECONDS = Number(process.env.WAIT_SECONDS ?? 60);
const GOOD_ENDS = new Set(["fill", "dry_run"]);

/** Follow the executions stream from `last` until the entry's final event; null at the deadline. */
async function outcome(client, last, entryId, deadline) {
  const seen = new Set(); // events come at least once
  while (Date.now() < deadline) {
    const batches = await client.xRead({ key: EXECUTIONS, id: last }, { BLOCK: 1000, COUNT: 100 });
    for (const { id, message } of batches?.[0]?.messages ?? []) {
      last = id;
      // The entry id, not the signal_id: it also finds the answer to a signal published again.
      if (message.stream !== STREAM || message.entry_id !== entryId) continue;
      if (seen.has(message.event_id)) continue;
      seen.add(message.event_id);
      console.log(message.at, message.event, message.status ?? "", message.reason ?? "");
      if (message.final === "1") return message;
    }
  }
  return null;
}

const [ticker, direction, ...more] = process.argv.slice(2);
if (!direction || more.length % 2) {
  console.error("usage: publish_and_wait.js TICKER b|s [FIELD VALUE]...");
  process.exit(2);
}

const signal = { ticker, direction, signal_id: randomUUID(), ts: String(Date.now()) };
for (let i = 0; i < more.length; i += 2) signal[more[i]] = more[i + 1];

const client = createClient({ url: process.env.REDIS_URL ?? "redis://localhost:6379/0" });
client.on("error", (error) => console.error(error.message));
await client.connect();

// Where the stream ends now. "$" would be read after publishing, and could miss a fast answer.
const newest = await client.xRevRange(EXECUTIONS, "+", "-", { COUNT: 1 });
const entryId = await client.xAdd(STREAM, "*", signal);
console.log("published", entryId, signal.signal_id);

const end = await outcome(client, newest[0]?.id ?? "0-0", entryId, Date.now() + WAIT_SECONDS * 1000);
client.destroy();
if (end === null) {
  console.error(`no final event within ${WAIT_SECONDS} s`);
  process.exit(3);
}
console.log(end.event, end.filled_qty ?? "0", "@", end.filled_avg_price ?? "-", end.message ?? "");
process.exit(GOOD_ENDS.has(end.event) ? 0 : 1);
