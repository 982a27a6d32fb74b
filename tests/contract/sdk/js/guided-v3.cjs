// Uses the client of the classic npm package that stands in front of this: `alpaca`.

(async () => {
  const heard = [alpaca.data_stream_v2, alpaca.crypto_stream_v1beta3].map((stream, crypto) =>
    new Promise((resolve, reject) => {
      stream.onConnect(() => stream.subscribeForQuotes([crypto ? "BTC/USD" : "KO"]));
      stream.onError((error) => reject(new Error(error)));
      (crypto ? stream.onCryptoQuote(resolve) : stream.onStockQuote(resolve));
      stream.connect();
    }));
  const { status } = await alpaca.getAccount();
  const { Price } = await alpaca.getLatestTrade("KO");
  await Promise.all(heard);
  process.stdout.write(JSON.stringify([status, Price > 0, "streams"]) + "\n", () => process.exit(0));
})();
