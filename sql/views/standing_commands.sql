-- The commands that count: where both origins have a key, the native row.
create or replace view standing_commands as
select t.*
from commands as t
where t.origin = 'native'
    or not exists (
        select from commands as n
        where n.command_id = t.command_id and n.account = t.account and n.origin = 'native'
    );
