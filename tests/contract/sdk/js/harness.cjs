// Runs scenarios one after another, each on an account of its own, and prints what became of them.
"use strict";

const { randomUUID } = require("node:crypto");

/** Runs `{name: async (keys) => ...}`; the last line of the output is `{name: "passed" | error}`. */
async function report(scenarios) {
  const outcome = {};
  for (const [name, run] of Object.entries(scenarios)) {
    try {
      await run({ keyId: `JS${randomUUID()}`, secretKey: "secret" });
      outcome[name] = "passed";
    } catch (error) {
      outcome[name] = String(error.stack || error);
    }
  }
  // Streams may still be connected: what is left of them ends with the process.
  process.stdout.write(JSON.stringify(outcome) + "\n", () => process.exit(0));
}

/** Lets a test wait for what a stream tells, each time within `ms`; null when nothing came. */
class Heard {
  #items = [];
  #waiting = [];

  put(item) {
    const first = this.#waiting.shift();
    if (first) first(item);
    else this.#items.push(item);
  }

  take(ms) {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => {
      const done = (item) => {
        clearTimeout(timer);
        resolve(item);
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one !== done);
        resolve(null);
      }, ms);
      this.#waiting.push(done);
    });
  }

  /** Of items `[kind, one]`, the first of each kind as `{kind: one}`, all of them within `ms`. */
  async firstOfEach(kinds, ms = 5000) {
    const found = {};
    const deadline = Date.now() + ms;
    while (kinds.some((kind) => !(kind in found))) {
      const item = await this.take(Math.max(0, deadline - Date.now()));
      if (item === null) throw new Error(`only ${Object.keys(found)} came`);
      found[item[0]] ??= item[1];
    }
    return found;
  }
}

/** All that an asynchronous iterator yields. */
async function all(iterator) {
  const items = [];
  for await (const item of iterator) items.push(item);
  return items;
}

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

module.exports = {
  report,
  Heard,
  all,
  sum,
  url: process.env.APCA_API_BASE_URL,
  streamUrl: process.env.APCA_API_STREAM_URL,
};
