-- Trades that are not over, with what they are worth now and how old each input is, in seconds.
-- A trade whose symbol has no price, or whose market has no quote, has nulls there.
create or replace view active_trades as
select
    t.ticket_id,
    t.id,
    t.account,
    t.ticker,
    t.status,
    t.asked_at,
    t.opened_at,
    t.symbol,
    t.market,
    t.trade_strategy,
    t.contract,
    n.strike,
    t.side,
    t.prob,
    t.diff,
    t.requested,
    t.position,
    t.held,
    t.canceled,
    t.buy_price,
    t.fees,
    t.fee_estimated,
    t.entry_method,
    t.origin,
    p.price as symbol_price,
    -- What one held contract could be sold at.
    n.bid as mark,
    n.bid,
    n.ask,
    (n.bid + n.ask) / 2 as implied_probability,
    t.held * (n.bid - t.buy_price) as unrealized_pnl,
    case t.side when 'yes' then p.price - n.strike else n.strike - p.price end as buffer,
    extract(epoch from statement_timestamp() - coalesce(t.opened_at, t.asked_at))
        as time_since_entry,
    extract(epoch from m.closes - statement_timestamp()) as time_to_close,
    extract(epoch from statement_timestamp() - p.time) as symbol_price_age,
    extract(epoch from statement_timestamp() - q.time) as quote_age
from trades as t
left join reference_price as p on p.symbol = t.symbol || '-USD'
left join market_quotes as q on q.venue = market_venue(t.account) and q.ticker = t.ticker
left join markets as m on m.venue = market_venue(t.account) and m.ticker = t.ticker
cross join lateral (
    select
        coalesce(t.strike, m.strike) as strike,
        case t.side when 'yes' then q.yes_bid else q.no_bid end as bid,
        case t.side when 'yes' then q.yes_ask else q.no_ask end as ask
) as n
where t.status in ('pending', 'open', 'closing');
