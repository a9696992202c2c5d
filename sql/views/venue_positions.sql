-- The venue's newest word on each position. A snapshot that is newer and lacks it says zero.
create or replace view venue_positions as
select
    p.account,
    p.ticker,
    case when s.lacks_it then 0 else p.position end as position,
    case when s.lacks_it then 0 else p.cost end as cost,
    p.realized_pnl,
    p.fees,
    case when s.lacks_it then s.finished else p.time end as time,
    coalesce(s.lacks_it, false) as is_absent
from position_facts as p
left join lateral (
    select f.finished, p.ticker <> all (f.tickers) as lacks_it
    from snapshots as f
    where f.account = p.account and f.finished > p.time
    order by f.finished desc
    limit 1
) as s on true
where p.origin = 'native'
    or not exists (
        select from position_facts as n
        where n.account = p.account and n.ticker = p.ticker and n.origin = 'native'
    );
