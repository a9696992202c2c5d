-- The states of transfers that count: where both origins have a key, the native row.
create or replace view standing_transfers as
select t.*
from transfers as t
where t.origin = 'native'
    or not exists (
        select from transfers as n
        where n.account = t.account and n.kind = t.kind
            and n.transfer_id = t.transfer_id and n.status = t.status and n.origin = 'native'
    );
