"""An Alpaca-compatible exchange on this machine: REST and trade_updates on one port."""
