// The classic npm package, 3.1.3, with nothing but its base URLs changed.
"use strict";

const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const Alpaca = require("alpaca-v3");
const { report, Heard, all, sum, url, streamUrl } = require("./harness.cjs");

const connect = (keys) => new Alpaca({ ...keys, baseUrl: url, dataBaseUrl: url, dataStreamUrl: streamUrl });
const far = { symbol: "AAPL", qty: 2, side: "buy", type: "limit", limit_price: 1.5, time_in_force: "gtc" };
const market = (symbol, qty, side = "buy") => ({ symbol, qty, side, type: "market", time_in_force: "day" });

/** The answer that a call is refused with. */
async function refused(call) {
  try {
    await call();
  } catch (error) {
    return error.response;
  }
  throw new Error("was not refused");
}

report({
  async account(keys) {
    const api = connect(keys);
    const found = await api.getAccount();
    assert.equal(found.status, "ACTIVE");
    assert.equal(found.cash, "100000");
    assert.equal((await api.updateAccountConfigurations({ no_shorting: true })).no_shorting, true);
    assert.equal((await api.getAccountConfigurations()).no_shorting, true);
  },

  async assets(keys) {
    const api = connect(keys);
    const found = await api.getAssets({ status: "active", asset_class: "us_equity" });
    assert.ok(found.some((asset) => asset.symbol === "AAPL"));
    assert.equal((await api.getAsset("AAPL")).tradable, true);
    assert.equal((await refused(() => api.getAsset("NOPE"))).data.code, 40410000);
  },

  async clock_and_calendar(keys) {
    const api = connect(keys);
    assert.equal((await api.getClock()).is_open, true);
    const days = await api.getCalendar({ start: new Date("2026-11-20"), end: new Date("2026-11-21") });
    assert.deepEqual(days.map((day) => day.date), ["2026-11-20", "2026-11-21"]);
  },

  async order_life(keys) {
    const api = connect(keys);
    const mine = `js-${randomUUID()}`;
    const order = await api.createOrder({ ...far, client_order_id: mine });
    assert.equal((await api.getOrder(order.id)).status, "new");
    assert.equal((await api.getOrderByClientId(mine)).id, order.id);
    const newer = await api.replaceOrder(order.id, { qty: "3" });
    assert.equal(newer.replaces, order.id);
    const open = await api.getOrders({ status: "open", nested: true, symbols: "AAPL" });
    assert.deepEqual(open.map((one) => one.id), [newer.id]);
    await api.cancelOrder(newer.id);
    const closed = await api.getOrders({ status: "closed", direction: "asc", limit: 10 });
    assert.deepEqual(closed.map((one) => one.status), ["replaced", "canceled"]);
  },

  async refusals(keys) {
    const api = connect(keys);
    const mine = `js-${randomUUID()}`;
    await api.createOrder({ ...far, client_order_id: mine });
    const taken = await refused(() => api.createOrder({ ...far, client_order_id: mine }));
    assert.equal(taken.status, 422);
    assert.deepEqual(taken.data, { code: 40010001, message: "client_order_id must be unique" });
    assert.equal((await refused(() => api.createOrder(market("SPY", 1e6)))).data.code, 40310000);
    const rows = await api.cancelAllOrders();
    assert.deepEqual(rows.map((row) => row.status), [200]);
  },

  async positions(keys) {
    const api = connect(keys);
    await api.createOrder(market("NVDA", 4));
    await api.createOrder(market("F", 3, "sell"));
    const held = await api.getPositions();
    assert.deepEqual(held.map((one) => one.qty).sort(), ["-3", "4"]);
    assert.equal((await api.getPosition("F")).side, "short");
    await api.closePosition("NVDA");
    const rows = await api.closeAllPositions();
    assert.deepEqual(rows.map((row) => [row.symbol, row.status]), [["F", 200]]);
    assert.deepEqual(await api.getPositions(), []);
  },

  async activities(keys) {
    const api = connect(keys);
    await api.createOrder(market("NVDA", 1));
    const rows = await api.getAccountActivities({ activityTypes: ["FILL"], pageSize: 10 });
    assert.deepEqual(rows.map((row) => row.type), ["fill"]);
  },

  async latest_data(keys) {
    const api = connect(keys);
    const quote = await api.getLatestQuote("NVDA");
    assert.ok(quote.BidPrice < quote.AskPrice);
    assert.ok((await api.getLatestTrade("NVDA")).Price > 0);
    const bar = await api.getLatestBar("NVDA");
    assert.ok(bar.LowPrice <= bar.ClosePrice && bar.ClosePrice <= bar.HighPrice);
    assert.deepEqual([...(await api.getLatestTrades(["NVDA", "F"])).keys()].sort(), ["F", "NVDA"]);
    assert.equal((await api.getSnapshot("NVDA")).symbol, "NVDA");
    assert.ok((await api.getLatestCryptoQuotes(["BTC/USD"])).get("BTC/USD").BidPrice > 0);
  },

  async history(keys) {
    const api = connect(keys);
    const minute = api.newTimeframe(1, api.timeframeUnit.MIN);
    const day = api.newTimeframe(1, api.timeframeUnit.DAY);
    const date = { start: "2024-03-04", end: "2024-03-04" };
    // The SDK takes the options apart: each call gets its own.
    const minutes = await all(api.getBarsV2("AAPL", { ...date, timeframe: minute, pageLimit: 500 }));
    assert.equal(minutes.length, 1440);
    assert.equal(new Set(minutes.map((bar) => bar.Timestamp)).size, 1440);
    const [whole] = await all(api.getBarsV2("AAPL", { ...date, timeframe: day }));
    assert.equal(whole.OpenPrice, minutes[0].OpenPrice);
    assert.equal(whole.ClosePrice, minutes.at(-1).ClosePrice);
    assert.equal(whole.HighPrice, Math.max(...minutes.map((bar) => bar.HighPrice)));
    assert.equal(whole.Volume, sum(minutes.map((bar) => bar.Volume)));
    const both = await api.getMultiBarsV2(["AAPL", "F"], { ...date, timeframe: minute, pageLimit: 1000 });
    assert.deepEqual(both.get("AAPL").map(({ Symbol, ...bar }) => bar), minutes);
    assert.equal(both.get("F").length, 1440);

    const start = "2024-03-04T15:00:00Z";
    const end = "2024-03-04T15:59:59.999Z";
    const trades = await all(api.getTradesV2("AAPL", { start, end, pageLimit: 500 }));
    const wanted = minutes.filter((bar) => bar.Timestamp >= start && bar.Timestamp < end);
    assert.equal(trades.length, sum(wanted.map((bar) => bar.TradeCount)));
    assert.equal(sum(trades.map((one) => one.Size)), sum(wanted.map((bar) => bar.Volume)));
    const soon = { start, end: "2024-03-04T15:00:59.999Z" };
    const quotes = await all(api.getQuotesV2("AAPL", { ...soon, pageLimit: 100 }));
    assert.equal(quotes.length, 240);
    assert.ok(quotes.every((one) => one.BidPrice < one.AskPrice));
    assert.deepEqual([...(await api.getMultiTradesV2(["F", "AAPL"], { ...soon })).keys()].sort(), ["AAPL", "F"]);

    const pair = ["BTC/USD", "ETH/USD"];
    const coins = await api.getCryptoBars(pair, { ...date, timeframe: minute, pageLimit: 1000 });
    assert.deepEqual(pair.map((symbol) => coins.get(symbol).length), [1440, 1440]);
    assert.equal(coins.get("BTC/USD")[0].Timestamp, "2024-03-04T00:00:00Z");
    const days = await api.getCryptoBars(pair, { start: date.start, end: "2024-03-08", timeframe: day });
    assert.equal(days.get("ETH/USD").length, 5);
    assert.ok((await api.getCryptoTrades(pair, { ...soon })).get("BTC/USD")[0].Size > 0);
    assert.equal((await api.getCryptoQuotes(pair, { ...soon })).get("BTC/USD").length, 240);

    const shots = await api.getSnapshots(["AAPL", "F"]);
    assert.deepEqual(shots.map((one) => one.symbol).sort(), ["AAPL", "F"]);
    assert.ok(shots.every((one) => one.PrevDailyBar.Timestamp < one.DailyBar.Timestamp));
    const coin = (await api.getCryptoSnapshots(["BTC/USD"])).get("BTC/USD");
    assert.ok(coin.LatestQuote.BidPrice < coin.LatestQuote.AskPrice);
  },

  async data_stream(keys) {
    const api = connect(keys);
    const heard = new Heard();
    const hear = (kind) => (one) => heard.put([kind, one]);
    const stocks = api.data_stream_v2;
    stocks.onConnect(() => {
      stocks.subscribeForTrades(["AAPL"]);
      stocks.subscribeForQuotes(["AAPL"]);
      stocks.subscribeForBars(["AAPL"]);
      stocks.subscribeForDailyBars(["AAPL"]);
    });
    stocks.onStockTrade(hear("trade"));
    stocks.onStockQuote(hear("quote"));
    stocks.onStockBar(hear("bar"));
    stocks.onStockDailyBar(hear("day"));
    const coins = api.crypto_stream_v1beta3;
    coins.onConnect(() => {
      coins.subscribeForTrades(["BTC/USD"]);
      coins.subscribeForQuotes(["BTC/USD"]);
      coins.subscribeForBars(["BTC/USD"]);
      coins.subscribeForOrderbooks(["BTC/USD"]);
    });
    coins.onCryptoTrade(hear("coin trade"));
    coins.onCryptoQuote(hear("coin quote"));
    coins.onCryptoBar(hear("coin bar"));
    coins.onCryptoOrderbook(hear("book"));
    const errors = [];
    for (const client of [stocks, coins]) {
      client.onError((error) => errors.push(error));
      client.connect();
    }
    const found = await heard
      .firstOfEach(["trade", "quote", "bar", "day", "coin trade", "coin quote", "coin bar", "book"])
      .catch((error) => assert.fail(`${error.message}; errors: ${errors}`));
    for (const kind of ["trade", "quote", "bar", "day"]) assert.equal(found[kind].Symbol, "AAPL");
    assert.ok(found.trade.Price > 0 && found["coin trade"].Price > 0);
    assert.ok(found.quote.BidPrice < found.quote.AskPrice);
    assert.ok(found.bar.LowPrice <= found.bar.ClosePrice && found.bar.ClosePrice <= found.bar.HighPrice);
    assert.equal(found.bar.Timestamp.getTime() % 60_000, 0);
    assert.ok(found.day.Volume > found.bar.Volume);
    assert.ok(found["coin quote"].BidPrice < found["coin quote"].AskPrice);
    assert.ok(found["coin bar"].TradeCount > 0);
    assert.ok(found.book.Bids[0].Price < found.book.Asks[0].Price);
    assert.deepEqual(stocks.getSubscriptions().bars, ["AAPL"]);
    assert.deepEqual(errors, []);
    stocks.disconnect();
    coins.disconnect();
  },

  async trade_updates(keys) {
    const api = connect(keys);
    const heard = new Heard();
    const client = api.trade_ws;
    client.onConnect(() => client.subscribe(["trade_updates"]));
    client.onOrderUpdate((update) => heard.put(update));
    client.connect();
    let first = null;
    // The SDK does not say when the server has begun to tell: order until it does.
    for (let tries = 0; !first && tries < 40; tries += 1) {
      await api.createOrder(market("NVDA", 1));
      first = await heard.take(250);
    }
    assert.equal(first.event, "new");
    const fill = await heard.take(2000);
    assert.equal(fill.event, "fill");
    assert.equal(fill.order.id, first.order.id);
    assert.equal(fill.price, fill.order.filled_avg_price);
    client.disconnect();
  },
});
