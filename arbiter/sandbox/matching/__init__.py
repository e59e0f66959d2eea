"""The account side of the sandboxes without any wire format: who has what, which orders rest, who trades with whom.

One `Matching` (venue.py) for each venue, made with its `Rules` (rules.py). It imports no clock and no wire format, and is
driven by four kinds of calls, all on one time line:

- `tick(now)` before anything else at a new time, then `apply(event, now)` for each of the world's events of this venue.
- `place`, `cancel`, `cancel_all`, `decrease`, `amend`, `split`, `redeem`: an account's requests. A refusal is `Refused`
  (refused.py) with a reason that the wire format puts in the venue's words; nothing has changed then. Checks that need
  the wire (signatures, amounts' precision, allowances, modes, rate limits, heartbeats, order groups) come before.
- `drain()` after each of these: `told` are the events (events.py) for private sockets, in order; `public` are snapshots,
  level changes and trades of the YES books. An engine gives these to its `MarketBooks` and public sockets in the place
  of the world's own book events: they hold the crowd and the accounts' orders together. A pause or a settlement it takes
  from the world as before.
- `account`, `free`, `orders`, `trades`, `queue_ahead` and the like: what REST reads show.

What a wire format makes of it:

- Polymarket: order id = digest, `order` events from `OrderChanged`, `trade` events from `TradeMoved` (the first says
  MATCHED); `Filled` is for the ledger. A leg without an account is the crowd's: the wire invents owner and order id. It
  mostly buys the other outcome, so makers of another asset at the complementary price are the rule. `status` of an answer:
  `delayed` for DELAYED, `matched` where `Placed.trades` is not empty, else `live`. A balance is `Account.cash` of pool 0;
  what a trade brings comes with CONFIRMED.
- Kalshi: `bid` is to buy YES, `ask` to sell YES; a record says it as buying NO at the complement, `yes_side` and
  `yes_price` say it in the book's terms. `good_till_canceled` with `expiration_time` is GTD, `immediate_or_cancel` FAK.
  `fill` messages from `Filled` (`shares_after` is `post_position_fp`), `user_order` from `OrderChanged` (`why` gives
  `last_update_reason`). A pool is a shard. Positions lag by what the wire format delays them.

Files: orders, refused, events, rules, trades (vocabulary) <- queues, plan (whom an order meets) <- accounts, locks (who
has what, what is kept back) <- floor (shared state) <- execution (a plan becomes trades) <- entry, changes, crowd, life <- venue.
"""
