-- The best bid and ask of each book in dollars of YES, and the contracts wanted there; null where a
-- side is empty. To sell YES is to buy NO: the ask is one minus the best NO bid.
create or replace view market_best as
select
    s.venue,
    s.ticker,
    y.price as yes_bid,
    y.size as yes_bid_size,
    1 - n.price as yes_ask,
    n.size as yes_ask_size,
    1 - n.price - y.price as spread,
    s.valid,
    s.time,
    s.received
from market_book_state as s
left join lateral (
    select key::numeric as price, value::numeric as size
    from json_each_text(s.yes)
    order by price desc
    limit 1
) as y on true
left join lateral (
    select key::numeric as price, value::numeric as size
    from json_each_text(s.no)
    order by price desc
    limit 1
) as n on true;
