// The TypeScript package, 4.0.2: its generated clients with another base path, and its stream.
"use strict";

const assert = require("node:assert/strict");
const { randomUUID } = require("node:crypto");
const { trading, marketData, streaming } = require("alpaca-v4");
const { report, Heard, url } = require("./harness.cjs");

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
