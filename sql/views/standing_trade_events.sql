-- The reported outcomes that count: where both origins have a key, the native row.
create or replace view standing_trade_events as
select t.*
from trade_events as t
where t.origin = 'native'
    or not exists (
        select from trade_events as n where n.event_id = t.event_id and n.origin = 'native'
    );
