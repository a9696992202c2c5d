-- Reported outcomes that mean no trade of their account and market.
create or replace view unmatched_events as
select e.account, e.event_id, e.kind, e.ticket_id, e.ticker, e.time, e.order_id, e.reason
from standing_trade_events as e
left join trades as t
    on t.ticket_id = e.ticket_id and t.account = e.account and t.ticker = e.ticker
where t.ticket_id is null
    -- A legacy close has a ticket of its own.
    and not exists (
        select from commands as c
        join trade_closes as l on l.account = c.account and l.command_id = c.command_id
        where c.account = e.account and c.ticker = e.ticker and c.ticket_id = e.ticket_id
            and l.ticket_id is not null
    );
