-- The history of each ticket as the log tells it, in the order of time, with the record that says
-- so: commands, reported outcomes, the newest state of each order, fills, settlements. What came at
-- one time is told in the order command, outcome, venue. A legacy close has a ticket of its own; it
-- is told of the trade that it closed as well.
create or replace view trade_log as
with tickets as not materialized (
    select ticket_id, account, ticker, ticket_id as named
    from commands
    union
    select l.ticket_id, l.account, l.ticker, c.ticket_id
    from trade_closes as l
    join commands as c on c.command_id = l.command_id and c.account = l.account
    where l.ticket_id is not null
),
ticket_orders as not materialized (
    select k.ticket_id, k.account, o.order_id
    from tickets as k
    join commands as c
        on c.account = k.account and c.ticker = k.ticker and c.ticket_id = k.named
        and c.kind in ('open', 'close')
    join orders as o
        on o.account = c.account and o.ticker = c.ticker
        and o.client_order_id = c.client_order_id
    union
    select k.ticket_id, k.account, f.order_id
    from tickets as k
    join commands as c
        on c.account = k.account and c.ticker = k.ticker and c.ticket_id = k.named
        and c.kind in ('open', 'close')
    join fills as f
        on f.account = c.account and f.ticker = c.ticker
        and f.client_order_id = c.client_order_id
    union
    select k.ticket_id, k.account, e.order_id
    from tickets as k
    join trade_events as e
        on e.account = k.account and e.ticker = k.ticker and e.ticket_id = k.named
    where e.kind = 'order_accepted'
),
records (ticket_id, time, what, detail, topic, partition, "offset") as not materialized (
    select
        k.ticket_id,
        c.time,
        c.kind as what,
        concat_ws(
            ', ',
            nullif(concat_ws(' ', trim_scale(c.count), c.side), ''),
            'at ' || trim_scale(c.price),
            c.method,
            c.reason,
            case when c.ticket_id <> k.ticket_id then 'as ticket ' || c.ticket_id end
        ) as detail,
        c.topic,
        c.partition,
        c."offset"
    from tickets as k
    join standing_commands as c
        on c.account = k.account and c.ticker = k.ticker and c.ticket_id = k.named
    union all
    select
        k.ticket_id,
        e.time,
        e.kind,
        concat_ws(', ', 'order ' || e.order_id, 'command ' || e.command_id, e.reason),
        e.topic,
        e.partition,
        e."offset"
    from tickets as k
    join standing_trade_events as e
        on e.account = k.account and e.ticker = k.ticker and e.ticket_id = k.named
    union all
    select
        k.ticket_id,
        coalesce(o.updated, o.created),
        'order_' || o.status,
        concat_ws(
            ', ',
            format('%s of %s %s', trim_scale(o.fill_count), trim_scale(o.initial_count), o.side),
            'at ' || trim_scale(case o.side when 'yes' then o.yes_price else 1 - o.yes_price end),
            'order ' || o.order_id,
            o.reason
        ),
        o.topic,
        o.partition,
        o."offset"
    from ticket_orders as k
    join standing_orders as o on o.account = k.account and o.order_id = k.order_id
    union all
    select
        p.ticket_id,
        p.time,
        'fill',
        format(
            '%s %s %s at %s, fee %s',
            p.role, trim_scale(p.count), p.side, trim_scale(p.price), trim_scale(p.fee)
        ),
        f.topic,
        f.partition,
        f."offset"
    from trade_fills as p
    join standing_fills as f on f.account = p.account and f.trade_id = p.trade_id
    where p.ticket_id is not null
    union all
    select
        k.ticket_id,
        s.settled_time,
        'settlement',
        concat_ws(
            ', ',
            'result ' || s.result,
            'value ' || trim_scale(s.value),
            'revenue ' || trim_scale(s.revenue)
        ),
        s.topic,
        s.partition,
        s."offset"
    from tickets as k
    join standing_settlements as s on s.account = k.account and s.ticker = k.ticker
    where k.named = k.ticket_id
)
select ticket_id, time, what, detail, topic, partition, "offset"
from records
order by time, topic = 'kalshi.account', topic, partition, "offset";
