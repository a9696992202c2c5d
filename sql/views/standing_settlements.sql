-- The settlements that count: where both origins have a key, the native row.
create or replace view standing_settlements as
select t.*
from settlements as t
where t.origin = 'native'
    or not exists (
        select from settlements as n
        where n.ticker = t.ticker and n.account = t.account
            and n.settled_time = t.settled_time and n.origin = 'native'
    );
