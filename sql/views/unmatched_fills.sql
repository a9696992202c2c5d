-- Parts of fills that belong to no trade.
create or replace view unmatched_fills as
select account, trade_id, ticker, time, side, count, price, fee, fee_source, reason
from trade_fills
where ticket_id is null;
