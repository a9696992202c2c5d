-- How far the price of each second is from earlier prices, in percent, and the score of that.
-- A second's price is its first trade's. The price N minutes ago is the last one until then, and
-- null where that is more than 15 seconds older: a gap in the ticks makes no momentum. Weights
-- count for the differences that exist. Ask for one second, or few: each costs ten look-ups.
create or replace view price_momentum as
select
    now.venue,
    now.symbol,
    now.second,
    now.open as price,
    past.delta_1m,
    past.delta_2m,
    past.delta_3m,
    past.delta_4m,
    past.delta_15m,
    past.delta_30m,
    past.score,
    -- Bounded, so that a price that is far too low, by an error, fails no query.
    round(
        case when past.score > 21474836.47 then 21474836.47 else past.score end * 100
    )::integer as momentum,
    minute.average as one_minute_average,
    past.change_1h,
    past.change_3h,
    past.change_1d
from price_seconds as now
cross join lateral (
    select
        max(delta) filter (where minutes = 1) as delta_1m,
        max(delta) filter (where minutes = 2) as delta_2m,
        max(delta) filter (where minutes = 3) as delta_3m,
        max(delta) filter (where minutes = 4) as delta_4m,
        max(delta) filter (where minutes = 15) as delta_15m,
        max(delta) filter (where minutes = 30) as delta_30m,
        sum(weight * delta) / sum(weight) filter (where delta is not null) as score,
        max(delta) filter (where minutes = 60) as change_1h,
        max(delta) filter (where minutes = 180) as change_3h,
        max(delta) filter (where minutes = 1440) as change_1d
    from (
        values
            (1, 0.30),
            (2, 0.25),
            (3, 0.20),
            (4, 0.15),
            (15, 0.05),
            (30, 0.05),
            (60, null),
            (180, null),
            (1440, null)
    ) as w (minutes, weight)
    cross join lateral (
        -- Minutes, not days: a day may have 25 hours where the session's time zone is.
        select now.second - make_interval(mins => w.minutes) as second
    ) as target
    left join lateral (
        select (now.open - s.open) * 100 / s.open as delta
        from price_seconds as s
        where s.venue = now.venue and s.symbol = now.symbol
            and s.second <= target.second
            and s.second >= target.second - interval '15 seconds'
        order by s.second desc
        limit 1
    ) as ago on true
) as past
cross join lateral (
    select avg(s.open) as average
    from price_seconds as s
    where s.venue = now.venue and s.symbol = now.symbol
        and s.second >= now.second - interval '60 seconds'
        and s.second < now.second
) as minute;
