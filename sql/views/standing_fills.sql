-- The fills that count: where both origins have a key, the native row.
create or replace view standing_fills as
select t.*
from fills as t
where t.origin = 'native'
    or not exists (
        select from fills as n
        where n.trade_id = t.trade_id and n.account = t.account and n.origin = 'native'
    );
