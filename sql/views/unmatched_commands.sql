-- Commands that mean no trade of their account and market.
create or replace view unmatched_commands as
select c.account, c.command_id, c.kind, c.ticket_id, c.ticker, c.time
from standing_commands as c
left join trade_closes as l on l.account = c.account and l.command_id = c.command_id
left join trades as t
    on t.ticket_id = c.ticket_id and t.account = c.account and t.ticker = c.ticker
where c.kind <> 'open'
    and case c.kind when 'close' then l.ticket_id is null else t.ticket_id is null end;
