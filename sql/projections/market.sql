-- The tables of the projection `market`, created in the schema of a generation.

create table markets (
    venue         text not null,
    ticker        text not null,
    series        text,
    event_ticker  text,
    title         text,
    subtitle      text,
    strike_type   text,
    floor_strike  numeric,
    cap_strike    numeric,
    strike        numeric,
    opens         timestamptz,
    closes        timestamptz,
    status        text,
    status_at     timestamptz,
    result        text,
    value         numeric,
    determined_at timestamptz,
    settled_at    timestamptz,
    described_at  timestamptz,
    result_at     timestamptz,
    updated_at    timestamptz,
    primary key (venue, ticker)
);

comment on table markets is
    'Every market that was heard of; series, closes and strike as its ticker says, until it is described.';
comment on column markets.strike is 'The label: see strike_label; the ticker''s while no strike is known.';
comment on column markets.status is
    'The venue''s word, or `determined` or `settled` once these were reported.';
comment on column markets.determined_at is 'When the result was first told.';
comment on column markets.result_at is 'When the result was last told.';
comment on column markets.described_at is 'Time of the newest description; older ones fill gaps.';
comment on column markets.value is 'What one YES contract pays.';
comment on column markets.updated_at is
    'Time of the newest event about its life; null while only quotes of it came.';

-- The number that a market is known by. Kalshi writes "114,750 or above" as the floor 114749.99.
create function strike_label(strike_type text, floor_strike numeric, cap_strike numeric)
returns numeric
language sql immutable
return case
    when strike_type in ('less', 'less_or_equal') then cap_strike
    when floor_strike % 1 = 0.99 then floor_strike + 0.01
    else floor_strike
end;

-- What is described, by which time, over what is known: an older description only fills gaps.
create function described(told anyelement, told_at timestamptz, known anyelement, known_at timestamptz)
returns anyelement
language sql immutable
as 'select case when told_at < known_at then coalesce(known, told) else coalesce(told, known) end';

create table market_quotes (
    venue                text        not null,
    ticker               text        not null,
    yes_bid              numeric,
    yes_ask              numeric,
    no_bid               numeric     generated always as (1 - yes_ask) stored,
    no_ask               numeric     generated always as (1 - yes_bid) stored,
    yes_bid_size         numeric,
    yes_ask_size         numeric,
    last_price           numeric,
    last_size            numeric,
    volume               numeric,
    open_interest        numeric,
    dollar_volume        numeric,
    dollar_open_interest numeric,
    time                 timestamptz not null,
    received             timestamptz not null,
    primary key (venue, ticker)
)
with (fillfactor = 50);

comment on table market_quotes is
    'The newest quote of each market, folded forward from its own row; prices in dollars.';
comment on column market_quotes.last_price is 'Of YES.';

-- What was told last, unless the row knows of a later time.
create function newer(
    told numeric, told_at timestamptz, known numeric, known_at timestamptz
) returns numeric
language sql immutable
return case when told_at >= known_at then told else known end;

-- The same for a total; `moved` is the sum of the deltas that came, whatever their time.
create function newer_total(
    told numeric, told_at timestamptz, moved numeric, known numeric, known_at timestamptz
) returns numeric
language sql immutable
return case
    when told_at >= known_at then told
    else coalesce(known + moved, known, moved)
end;

create table market_trades (
    venue       text        not null,
    trade_id    text        not null,
    ticker      text        not null,
    time        timestamptz not null,
    yes_price   numeric     not null,
    count       numeric     not null,
    taker_side  text,
    is_block    boolean,
    received    timestamptz not null,
    topic       text        not null default 'kalshi.market',
    partition   integer     not null,
    "offset"    bigint      not null,
    primary key (venue, trade_id)
);

create index market_trades_market on market_trades (venue, ticker, time);

comment on table market_trades is 'Every public trade; prices in dollars, counts in contracts.';
comment on column market_trades.time is
    'The finest that a channel gave; trades are compared to the second.';
comment on column market_trades.taker_side is 'The outcome that the taker acquired.';
comment on column market_trades.received is 'When it was first received.';

-- Contents that differ from the one that market_trades holds under the same id.
create table market_trade_conflicts (
    venue       text        not null,
    trade_id    text        not null,
    content     text        not null,
    ticker      text        not null,
    time        timestamptz not null,
    yes_price   numeric     not null,
    count       numeric     not null,
    taker_side  text,
    is_block    boolean,
    received    timestamptz not null,
    topic       text        not null default 'kalshi.market',
    partition   integer     not null,
    "offset"    bigint      not null,
    primary key (venue, trade_id, content)
);

-- A book is rewritten as a whole: levels as JSON, never compressed for that.
create table market_book_state (
    venue         text        not null,
    ticker        text        not null,
    connection    text        not null,
    opened        timestamptz not null,
    sid           bigint      not null,
    seq           bigint      not null,
    clock         bigint,
    time          timestamptz not null,
    received      timestamptz not null,
    valid         boolean     not null generated always as (invalid_since is null) stored,
    invalid_since timestamptz,
    reason        text,
    yes           json        not null,
    no            json        not null,
    primary key (venue, ticker)
)
with (fillfactor = 50, toast_tuple_target = 8160);

comment on table market_book_state is
    'The order book of each market, folded forward from its own row; `market_book` has its levels.';
comment on column market_book_state.opened is 'When the connection was opened.';
comment on column market_book_state.sid is 'The connection''s subscription.';
comment on column market_book_state.seq is 'Of the last message that the book took.';
comment on column market_book_state.clock is 'The exchange''s own, of that message.';
comment on column market_book_state.time is 'The venue''s time of that message.';
comment on column market_book_state.invalid_since is
    'From then on messages may be missing; it takes none until its next snapshot.';
comment on column market_book_state.reason is 'Why it is not valid.';
comment on column market_book_state.yes is 'Bids: contracts by price.';

create view market_book as
select s.venue, s.ticker, l.side, l.price::numeric as price, l.size::numeric as size, s.valid
from market_book_state as s
cross join lateral (
    select 'yes' as side, y.key as price, y.value as size from json_each_text(s.yes) as y
    union all
    select 'no', n.key, n.value from json_each_text(s.no) as n
) as l;

comment on view market_book is
    'Depth: the contracts bid for at each price of each side, in dollars of that side.';

create table market_candles (
    venue         text        not null,
    ticker        text        not null,
    minutes       integer     not null,
    "end"         timestamptz not null,
    yes_bid_open  numeric,
    yes_bid_high  numeric,
    yes_bid_low   numeric,
    yes_bid_close numeric,
    yes_ask_open  numeric,
    yes_ask_high  numeric,
    yes_ask_low   numeric,
    yes_ask_close numeric,
    open          numeric,
    high          numeric,
    low           numeric,
    close         numeric,
    mean          numeric,
    previous      numeric,
    volume        numeric,
    open_interest numeric,
    received      timestamptz not null,
    content       text        collate "C" not null,
    topic         text        not null default 'kalshi.market',
    partition     integer     not null,
    "offset"      bigint      not null,
    primary key (venue, ticker, minutes, "end")
);

comment on table market_candles is
    'Candlesticks as the venue reckoned them: of each, the one that was received last.';
comment on column market_candles.content is
    'The event''s id, which holds a hash; of two received at once the greater one stands.';

create table market_log (
    appended    timestamptz not null,
    partition   integer     not null,
    "offset"    bigint      not null,
    venue       text        not null,
    ticker      text        not null,
    type        text        not null,
    time        timestamptz not null,
    received    timestamptz not null,
    event       text        not null,
    primary key (partition, "offset", appended)
)
partition by range (appended);

comment on table market_log is
    'Every event of the topic kalshi.market that was projected, for 30 days, a partition a day.';
comment on column market_log.appended is 'When the log took the record.';
comment on column market_log.time is
    'The event''s own; of a candlestick its end, of a gap when it was received.';
comment on column market_log.event is 'The record''s value as it came, JSON: event::json.';

create index market_log_market on market_log (venue, ticker, appended);

-- A day is attached when a record of it or of the day before arrives.
-- A day that was closed is dropped; records of it, should any come, are not logged.
create table market_log_days (
    day    date    not null primary key,
    closed boolean not null default false
);
