// The TypeScript package, 4.0.2: its generated clients with another base path, and its stream.
"use strict";

const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const { trading, marketData, streaming, pagination, TimeFrame } = require("alpaca-v4");
const { report, Heard, sum, url, streamUrl } = require("./harness.cjs");

const far = { symbol: "AAPL", qty: "2", side: "buy", type: "limit", limitPrice: "1.50", timeInForce: "gtc" };
const market = (symbol, qty, side = "buy") => ({ symbol, qty, side, type: "market", timeInForce: "day" });

/** One client of a kind, such as `OrdersApi`. */
function api(keys, kind, pack = trading) {
  const configuration = { keyId: keys.keyId, secret: keys.secretKey, basePath: url, retry: undefined };
  return new pack[kind](new pack.Configuration(configuration));
}

const place = (keys, postOrderRequest) => api(keys, "OrdersApi").postOrder({ postOrderRequest });

/** The SDK's error that a call ends in. */
async function refused(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("was not refused");
}

report({
  async account(keys) {
    const found = await api(keys, "AccountsApi").getAccount();
    assert.equal(found.status, "ACTIVE");
    assert.equal(found.cash, "100000");
    const configurations = api(keys, "AccountConfigurationsApi");
    await configurations.patchAccountConfig({ accountConfigurations: { noShorting: true } });
    assert.equal((await configurations.getAccountConfig()).noShorting, true);
  },

  async assets(keys) {
    const assets = api(keys, "AssetsApi");
    const found = await assets.getV2Assets({ status: "active", assetClass: "us_equity" });
    assert.ok(found.some((asset) => asset.symbol === "AAPL"));
    const one = await assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "AAPL" });
    assert.equal(one.tradable, true);
    const missing = await refused(() => assets.getV2AssetsSymbolOrAssetId({ symbolOrAssetId: "NOPE" }));
    assert.equal(missing.name, "NotFoundError");
    assert.equal(missing.code, 40410000);
  },

  async clock_and_calendar(keys) {
    const clock = await api(keys, "ClockApi").legacyClock();
    assert.equal(clock.isOpen, true);
    const days = await api(keys, "CalendarApi").legacyCalendar({
      start: new Date("2026-11-20T00:00:00Z"),
      end: new Date("2026-11-21T00:00:00Z"),
    });
    assert.equal(days.length, 2);
  },

  async order_life(keys) {
    const orders = api(keys, "OrdersApi");
    const clientOrderId = `js-${randomUUID()}`;
    const order = await place(keys, { ...far, clientOrderId });
    assert.equal(order.status, "pending_new");
    assert.equal((await orders.getOrderByOrderID({ orderId: order.id, nested: true })).status, "new");
    assert.equal((await orders.getOrderByClientOrderId({ clientOrderId })).id, order.id);
    const newer = await orders.patchOrderByOrderId({ orderId: order.id, patchOrderRequest: { qty: "3" } });
    assert.equal(newer.replaces, order.id);
    const open = await orders.getAllOrders({ status: "open", assetClass: ["us_equity"], symbols: "AAPL" });
    assert.deepEqual(open.map((one) => one.id), [newer.id]);
    await orders.deleteOrderByOrderID({ orderId: newer.id });
    const closed = await orders.getAllOrders({ status: "closed", direction: "asc" });
    assert.deepEqual(closed.map((one) => one.status), ["replaced", "canceled"]);
  },

  async refusals(keys) {
    const clientOrderId = `js-${randomUUID()}`;
    await place(keys, { ...far, clientOrderId });
    const taken = await refused(() => place(keys, { ...far, clientOrderId }));
    assert.equal(taken.name, "ValidationError");
    assert.deepEqual([taken.status, taken.code], [422, 40010001]);
    assert.ok(taken.requestId);
    const dear = await refused(() => place(keys, market("SPY", "1000000")));
    assert.deepEqual([dear.name, dear.code], ["PermissionError", 40310000]);
    assert.ok(dear.rateLimit.limit > 0);
    const rows = await api(keys, "OrdersApi").deleteAllOrders();
    assert.deepEqual(rows.map((row) => row.status), [200]);
  },

  async positions(keys) {
    const positions = api(keys, "PositionsApi");
    await place(keys, market("NVDA", "4"));
    await place(keys, market("F", "3", "sell"));
    const held = await positions.getAllOpenPositions();
    assert.deepEqual(held.map((one) => one.qty).sort(), ["-3", "4"]);
    await positions.deleteOpenPosition({ symbolOrAssetId: "NVDA", percentage: 50 });
    assert.equal((await positions.getOpenPosition({ symbolOrAssetId: "NVDA" })).qty, "2");
    const rows = await positions.deleteAllOpenPositions({ cancelOrders: true });
    assert.deepEqual(rows.map((row) => row.symbol).sort(), ["F", "NVDA"]);
    assert.deepEqual(await positions.getAllOpenPositions(), []);
  },

  async activities(keys) {
    await place(keys, market("NVDA", "1"));
    const activities = api(keys, "AccountActivitiesApi");
    const rows = await activities.getAccountActivitiesByActivityType({ activityType: "FILL" });
    assert.deepEqual(rows.map((row) => [row.activityType, row.qty]), [["FILL", "1"]]);
  },

  async latest_data(keys) {
    const stocks = api(keys, "StockApi", marketData);
    const { quotes } = await stocks.stockLatestQuotes({ symbols: "NVDA,F" });
    assert.ok(quotes.NVDA.bp < quotes.NVDA.ap);
    assert.equal((await stocks.stockLatestTradeSingle({ symbol: "F" })).symbol, "F");
    const { bars } = await stocks.stockLatestBars({ symbols: "NVDA" });
    assert.ok(bars.NVDA.l <= bars.NVDA.h);
    const crypto = api(keys, "CryptoApi", marketData);
    const snapshots = await crypto.cryptoSnapshots({ loc: "us", symbols: "BTC/USD" });
    assert.ok(snapshots.snapshots["BTC/USD"].latestTrade.p > 0);
  },

  async history(keys) {
    const stocks = api(keys, "StockApi", marketData);
    const crypto = api(keys, "CryptoApi", marketData);
    // The SDK's own way through pages: once for lists, once for maps by symbol.
    const list = (kind, ask) =>
      pagination.collect(async (pageToken) => {
        const page = await ask(pageToken);
        return { items: page[kind], nextPageToken: page.nextPageToken };
      });
    const bySymbol = (kind, ask) =>
      pagination.collectBySymbol(async (pageToken) => {
        const page = await ask(pageToken);
        return { data: page[kind], nextPageToken: page.nextPageToken };
      });

    const date = { start: new Date("2024-03-04T05:00:00Z"), end: new Date("2024-03-05T04:59:59Z") };
    const window = { ...date, timeframe: TimeFrame.Minute };
    const minutes = await list("bars", (pageToken) =>
      stocks.stockBarSingle({ symbol: "AAPL", ...window, limit: 500, pageToken }));
    assert.equal(minutes.length, 1440);
    const days = await stocks.stockBars({ symbols: "AAPL,F", ...date, timeframe: TimeFrame.Day });
    const [whole] = days.bars.AAPL;
    assert.deepEqual([whole.o, whole.c], [minutes[0].o, minutes.at(-1).c]);
    assert.equal(whole.h, Math.max(...minutes.map((bar) => bar.h)));
    assert.equal(whole.v, sum(minutes.map((bar) => bar.v)));
    const both = await bySymbol("bars", (pageToken) =>
      stocks.stockBars({ symbols: "AAPL,F", ...window, limit: 1000, pageToken }));
    assert.deepEqual([both.AAPL.length, both.F.length], [1440, 1440]);
    assert.deepEqual(both.AAPL.map((bar) => bar.c), minutes.map((bar) => bar.c));

    const start = new Date("2024-03-04T15:00:00Z");
    const hour = { start, end: new Date("2024-03-04T15:59:59.999Z") };
    const trades = await list("trades", (pageToken) =>
      stocks.stockTradeSingle({ symbol: "AAPL", ...hour, limit: 500, pageToken }));
    const wanted = minutes.filter((bar) => hour.start <= new Date(bar.t) && new Date(bar.t) <= hour.end);
    assert.equal(wanted.length, 60);
    assert.equal(trades.length, sum(wanted.map((bar) => bar.n)));
    assert.equal(sum(trades.map((one) => one.s)), sum(wanted.map((bar) => bar.v)));
    const minute = { start, end: new Date("2024-03-04T15:00:59.999Z") };
    const quotes = await bySymbol("quotes", (pageToken) =>
      stocks.stockQuotes({ symbols: "AAPL,F", ...minute, limit: 100, pageToken }));
    assert.deepEqual([quotes.AAPL.length, quotes.F.length], [240, 240]);
    assert.ok(quotes.AAPL.every((one) => one.bp < one.ap));

    const pair = { loc: "us", symbols: "BTC/USD,ETH/USD" };
    const coins = await bySymbol("bars", (pageToken) =>
      crypto.cryptoBars({ ...pair, ...window, limit: 1000, pageToken }));
    assert.deepEqual([coins["BTC/USD"].length, coins["ETH/USD"].length], [1440, 1440]);
    assert.ok((await crypto.cryptoTrades({ ...pair, ...minute })).trades["BTC/USD"][0].s > 0);
    assert.equal((await crypto.cryptoQuotes({ ...pair, ...minute })).quotes["BTC/USD"].length, 240);

    const shots = await stocks.stockSnapshots({ symbols: "AAPL,F" });
    assert.ok(shots.F.prevDailyBar.t < shots.F.dailyBar.t);
    const shot = await stocks.stockSnapshotSingle({ symbol: "AAPL" });
    assert.equal(shot.symbol, "AAPL");
    assert.ok(shot.latestQuote.bp < shot.latestQuote.ap);
  },

  async data_stream(keys) {
    const credentials = { keyId: keys.keyId, secret: keys.secretKey };
    const stocks = new streaming.StockDataStream({ credentials, url: `${streamUrl}/v2/iex` });
    const coins = new streaming.CryptoDataStream({ credentials, url: `${streamUrl}/v1beta3/crypto/us` });
    const heard = new Heard();
    const errors = [];
    for (const [prefix, stream, symbols] of [["", stocks, ["AAPL"]], ["coin ", coins, ["BTC/USD"]]]) {
      const hear = (kind) => (one) => heard.put([prefix + kind, one]);
      stream.onTrade(hear("trade")).onQuote(hear("quote")).onBar(hear("bar")).onDailyBar(hear("day"));
      stream.onOrderbook(hear("book"));
      stream.onError((error) => errors.push(error));
      stream.subscribeForTrades(symbols);
      stream.subscribeForQuotes(symbols);
      stream.subscribeForBars(symbols);
      stream.onConnect(() => stream.subscribeForDailyBars(symbols));
      stream.connect();
    }
    coins.subscribeForOrderbooks(["BTC/USD"]);
    const ready = await stocks.whenAuthenticated();
    assert.ok(ready.authenticated, `${ready.status} ${ready.message}`);
    const kinds = ["trade", "quote", "bar", "day"];
    const found = await heard
      .firstOfEach([...kinds, ...kinds.map((kind) => `coin ${kind}`), "coin book"])
      .catch((error) => assert.fail(`${error.message}; errors: ${errors}`));
    for (const [prefix, symbol] of [["", "AAPL"], ["coin ", "BTC/USD"]]) {
      const [trade, quote, bar, day] = kinds.map((kind) => found[prefix + kind]);
      assert.deepEqual([trade, quote, bar, day].map((one) => one.symbol), Array(4).fill(symbol));
      assert.ok(trade.price > 0);
      assert.ok(quote.bidPrice < quote.askPrice);
      assert.ok(bar.low <= bar.close && bar.close <= bar.high && bar.tradeCount > 0);
      assert.equal(bar.timestamp.getTime() % 60_000, 0);
      assert.ok(day.volume > bar.volume);
    }
    assert.equal(found["coin book"].reset, true);
    assert.ok(found["coin book"].bids[0].price < found["coin book"].asks[0].price);
    assert.deepEqual(errors, []);
    stocks.disconnect();
    coins.disconnect();
  },

  async trade_updates(keys) {
    const heard = new Heard();
    const listening = new Heard();
    const stream = new streaming.TradingStream({
      credentials: { keyId: keys.keyId, secret: keys.secretKey },
      url: `${url.replace(/^http/, "ws")}/stream`,
    });
    stream.onTradeUpdate((update) => heard.put(update));
    stream.on("subscription", (streams) => listening.put(streams));
    stream.onConnect(() => stream.subscribeTradeUpdates());
    stream.connect();
    assert.deepEqual(await listening.take(5000), ["trade_updates"]);
    const order = await place(keys, market("NVDA", "1"));
    const told = [await heard.take(2000), await heard.take(2000)];
    assert.deepEqual(told.map((one) => one.event), ["new", "fill"]);
    assert.deepEqual(told.map((one) => one.order.id), [order.id, order.id]);
    stream.disconnect();
  },
});
