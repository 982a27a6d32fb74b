// Uses what stands in front of this, out of the guide to the TypeScript package: `alpaca`, its
// streams of market data `ticks` and `coins`, and that of its orders, `updates`.

(async () => {
  const heard = [[ticks, "KO"], [coins, "BTC/USD"]].map(([stream, symbol]) =>
    new Promise((resolve, reject) => {
      stream.onQuote(resolve).onError((error) => reject(new Error(error)));
      stream.subscribeForQuotes([symbol]);
      stream.connect();
    }));
  const { status } = await alpaca.trading.account.getAccount();
  const price = await alpaca.marketData.getLatestPrice("KO");
  await Promise.all(heard);
  const order = { symbol: "KO", qty: "1", side: "buy", type: "market", timeInForce: "day" };
  updates.connect();
  const done = await alpaca.trading.submitAndWait(order, { stream: updates, timeoutMs: 5000 });
  const found = [status, price > 0, "streams", done.status];
  process.stdout.write(JSON.stringify(found) + "\n", () => process.exit(0));
})();
