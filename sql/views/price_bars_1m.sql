-- Bars of one minute, from the seconds.
create or replace view price_bars_1m as
select
    venue,
    symbol,
    date_trunc('minute', second) as minute,
    (array_agg(open order by second))[1] as open,
    max(high) as high,
    min(low) as low,
    (array_agg(close order by second desc))[1] as close,
    sum(volume) as volume,
    sum(trades) as trades
from price_seconds
group by venue, symbol, date_trunc('minute', second);
