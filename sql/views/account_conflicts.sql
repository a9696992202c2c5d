-- Contents that lost against another of the same key, and opens of a ticket that was open already.
create or replace view account_conflicts as
select fact, key, content, body from fact_conflicts
union all
select
    'tickets' as fact,
    jsonb_build_array(ticket_id)::text as key,
    command_id as content,
    to_jsonb(opens) - 'nth' as body
from (
    select
        c.*,
        row_number() over (
            partition by c.ticket_id
            order by c.origin = 'legacy', c.time, c.command_id collate "C", c.account collate "C"
        ) as nth
    from standing_commands as c
    where c.kind = 'open'
) as opens
where nth > 1;
