// Sign and publish one signal: node sign_and_publish.mjs FIELD VALUE [FIELD VALUE]...
import { createHmac, randomUUID } from "node:crypto";
import { connect } from "node:net";

/** What is signed: a version, the stream, and every field but sig, with its length in bytes. */
export function canonical(stream, fields) {
  const line = (name, value) => `${name}=${Buffer.byteLength(value)}:${value}\n`;
  // Names are ASCII, so sort() gives the order of their bytes.
  const names = Object.keys(fields).filter((name) => name !== "sig").sort();
  return "signalpaca-v1\n" + line("stream", stream) + names.map((n) => line(n, fields[n])).join("");
}

/** HMAC-SHA256 as 64 lower-case hexadecimal digits; names of fields are in lower case. */
export function sign(secret, stream, fields) {
  return createHmac("sha256", secret).update(canonical(stream, fields), "utf8").digest("hex");
}

/** Send commands to redis:// and return the last answer; with a client library, use that. */
function redis(url, ...commands) {
  const { hostname, port, username, password, pathname } = new URL(url);
  const login = password ? [["AUTH", decodeURIComponent(username || "default"), decodeURIComponent(password)]] : [];
  const database = pathname.length > 1 ? [["SELECT", pathname.slice(1)]] : [];
  const all = [...login, ...database, ...commands];
  const pack = (words) =>
    `*${words.length}\r\n` + words.map((w) => `$${Buffer.byteLength(w)}\r\n${w}\r\n`).join("");
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect({ host: hostname, port: Number(port || 6379), timeout: 5000 });
    socket.on("error", reject).on("timeout", () => socket.destroy(new Error("Redis does not answer")));
    socket.on("close", () => reject(new Error("Redis closed the connection")));
    socket.on("data", (chunk) => {
      answer += chunk;
      const lines = answer.split("\r\n").slice(0, -1);
      const wrong = lines.find((text) => text.startsWith("-"));
      if (wrong) return reject(new Error(wrong.slice(1))), socket.destroy();
      // +OK for each command before the last, whose answer is $LENGTH and the entry id.
      if (lines.length === all.length + 1) resolve(lines.at(-1)), socket.destroy();
    });
    socket.write(all.map(pack).join(""));
  });
}

async function main(words) {
  if (!words.length || words.length % 2) {
    console.error("usage: sign_and_publish.mjs FIELD VALUE [FIELD VALUE]...");
    return 2;
  }
  const key = process.env.SIGNAL_HMAC_KEY;
  const colon = key.indexOf(":");
  const stream = process.env.STREAM ?? "nvda";
  const fields = { signal_id: randomUUID(), ts: String(Date.now()), kid: key.slice(0, colon) };
  for (let i = 0; i < words.length; i += 2) fields[words[i].toLowerCase()] = words[i + 1];
  fields.sig = sign(key.slice(colon + 1), stream, fields);
  if (process.env.SIGN_ONLY) {
    console.log(fields.sig);
    return 0;
  }
  const url = process.env.REDIS_URL ?? "redis://localhost:6379/0";
  console.log(await redis(url, ["XADD", stream, "*", ...Object.entries(fields).flat()]));
  return 0;
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error) => {
    console.error(`not published: ${error.message}`);
    process.exit(1);
  },
);
