-- The venue's words on positions that count: where both origins have a key, the native row.
create or replace view standing_position_facts as
select t.*
from position_facts as t
where t.origin = 'native'
    or not exists (
        select from position_facts as n
        where n.ticker = t.ticker and n.account = t.account and n.origin = 'native'
    );
