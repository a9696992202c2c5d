-- The orders that count: where both origins have a key, the native row.
create or replace view standing_orders as
select t.*
from orders as t
where t.origin = 'native'
    or not exists (
        select from orders as n
        where n.order_id = t.order_id and n.account = t.account and n.origin = 'native'
    );
