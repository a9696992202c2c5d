-- What the underlying cost when each trade was opened and closed, and the momentum when it was
-- asked for: by event time, at the symbol's reference venue, null where the last second with
-- trades is more than 15 seconds older. Of a second that is over, its last trade counts; of the
-- one in which the trade was opened or closed, its first, if that was not later.
create or replace view trade_prices as
select
    t.ticket_id,
    t.id,
    r.symbol,
    r.venue,
    known.symbol_open,
    known.symbol_close,
    asked.momentum
from trades as t
left join reference_venues as r on r.symbol = t.symbol || '-USD'
cross join lateral (
    select
        max(price) filter (where time = t.opened_at) as symbol_open,
        max(price) filter (where time = t.closed_at) as symbol_close
    from (values (t.opened_at), (t.closed_at)) as at (time)
    cross join lateral (
        select case when s.second = date_trunc('second', at.time) then s.open else s.close end
        from price_seconds as s
        where s.venue = r.venue and s.symbol = r.symbol
            and s.second <= at.time
            and s.second >= date_trunc('second', at.time) - interval '15 seconds'
            and s.first_time <= at.time
        order by s.second desc
        limit 1
    ) as last (price)
) as known
left join lateral (
    select p.momentum
    from price_momentum as p
    where p.venue = r.venue and p.symbol = r.symbol
        and p.second <= t.asked_at
        and p.second >= date_trunc('second', t.asked_at) - interval '15 seconds'
    order by p.second desc
    limit 1
) as asked on true;
