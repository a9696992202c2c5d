-- How the available cash went from one observation to the next.
create or replace view balance_changes as
select
    account,
    time,
    balance,
    balance - lag(balance) over each_account as change,
    portfolio_value
from balances
window each_account as (partition by account order by time, received);
