-- The tables of the projection `prices`, created in the schema of a generation.

create table price_history (
    venue       text        not null,
    symbol      text        not null,
    time        timestamptz not null,
    trade_id    text        not null,
    price       numeric     not null,
    size        numeric,
    side        text,
    sequence    bigint,
    average     numeric,
    received    timestamptz not null,
    appended    timestamptz not null,
    topic       text        not null default 'price.ticks',
    partition   integer     not null,
    "offset"    bigint      not null,
    primary key (venue, symbol, time, trade_id)
)
partition by range (time);

comment on table price_history is
    'Every trade, and every index value (trade_id is then its source time, size and side are null).';
comment on column price_history.time is
    'The venue''s time, cut to the precision of its coarsest channel.';
comment on column price_history.side is 'The taker''s side.';
comment on column price_history.appended is 'When the log took the record.';

create index price_history_time on price_history using brin (time);

-- A month is attached when a trade of it or of the month before arrives.
-- A month that was detached is closed: its seconds stay as they are.
create table price_months (
    month  date    not null primary key,
    closed boolean not null default false
);

create table price_seconds (
    venue          text        not null,
    symbol         text        not null,
    second         timestamptz not null,
    first_time     timestamptz not null,
    first_trade_id text        not null,
    open           numeric     not null,
    high           numeric     not null,
    low            numeric     not null,
    close          numeric     not null,
    volume         numeric     not null,
    trades         integer     not null,
    primary key (venue, symbol, second)
);

comment on table price_seconds is
    'One row for each UTC second with trades; open is the first by exchange time and sequence.';

create table latest_price (
    venue    text        not null,
    symbol   text        not null,
    time     timestamptz not null,
    sequence bigint,
    trade_id text        not null,
    price    numeric     not null,
    size     numeric,
    side     text,
    received timestamptz not null,
    primary key (venue, symbol)
)
with (fillfactor = 50);

create table latest_quote (
    venue    text        not null,
    symbol   text        not null,
    time     timestamptz not null,
    sequence bigint,
    bid      numeric     not null,
    bid_size numeric,
    ask      numeric     not null,
    ask_size numeric,
    received timestamptz not null,
    primary key (venue, symbol)
)
with (fillfactor = 50);

-- What is compared of a trade: the fields that every channel gives, in canonical form.
create function trade_content(price numeric, size numeric, side text) returns text
language sql immutable
return encode(
    sha256(
        convert_to(
            concat_ws(
                '|',
                trim_scale(price)::text,
                coalesce(trim_scale(size)::text, '-'),
                coalesce(side, '-')
            ),
            'UTF8'
        )
    ),
    'hex'
);

-- Contents that differ from the one that price_history holds under the same key.
create table price_conflicts (
    venue     text        not null,
    symbol    text        not null,
    time      timestamptz not null,
    trade_id  text        not null,
    content   text        not null,
    price     numeric     not null,
    size      numeric,
    side      text,
    sequence  bigint,
    average   numeric,
    received  timestamptz not null,
    appended  timestamptz not null,
    partition integer     not null,
    "offset"  bigint      not null,
    primary key (venue, symbol, time, trade_id, content)
);
