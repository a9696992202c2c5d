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
