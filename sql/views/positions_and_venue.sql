-- The venue's newest word on each position. A snapshot that is newer and lacks it says zero.
create or replace view venue_positions as
select
    p.account,
    p.ticker,
    case when s.lacks_it then 0 else p.position end as position,
    case when s.lacks_it then 0 else p.cost end as cost,
    p.realized_pnl,
    p.fees,
    case when s.lacks_it then s.time else p.time end as time,
    coalesce(s.lacks_it, false) as is_absent
from standing_position_facts as p
left join lateral (
    select f.time, p.ticker <> all (f.tickers) as lacks_it
    from snapshots as f
    where f.account = p.account and f.bound = 'finished' and f.time > p.time
    order by f.time desc
    limit 1
) as s on true;

-- Where the venue says otherwise than fills and settlements do: another position, or another
-- payout. What it said before our newest fill of that market says nothing.
create or replace view position_differences as
select
    coalesce(p.account, v.account) as account,
    coalesce(p.ticker, v.ticker) as ticker,
    'position' as what,
    coalesce(p.position, 0) as ours,
    v.position as venues,
    p.updated_at,
    v.time as venue_time
from venue_positions as v
left join positions as p on p.account = v.account and p.ticker = v.ticker
where coalesce(p.position, 0) <> v.position
    and (p.updated_at is null or date_trunc('second', p.updated_at) <= v.time)
union all
select p.account, p.ticker, 'position', p.position, 0, p.updated_at, s.time
from positions as p
cross join lateral (
    select f.time, f.tickers
    from snapshots as f
    where f.account = p.account and f.bound = 'finished'
    order by f.time desc
    limit 1
) as s
where p.position <> 0
    and date_trunc('second', p.updated_at) <= s.time
    and p.ticker <> all (s.tickers)
    and not exists (
        select from position_facts as f where f.account = p.account and f.ticker = p.ticker
    )
union all
select p.account, p.ticker, 'payout', p.payout, s.revenue, p.updated_at, s.settled_time
from positions as p
join standing_settlements as s
    on s.account = p.account and s.ticker = p.ticker and s.settled_time = p.settled_at
where s.revenue <> p.payout;
