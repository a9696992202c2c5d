-- The price of each symbol at its reference venue.
create or replace view reference_price as
select p.symbol, p.venue, p.price, p.time, p.received
from latest_price as p
join reference_venues as r on r.symbol = p.symbol and r.venue = p.venue;
