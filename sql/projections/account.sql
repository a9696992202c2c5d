-- The tables of the projection `account`, created in the schema of a generation.
-- Facts first, then what follows from the facts of one account and market. Keys begin with what
-- is rare: there are few accounts.

-- Facts: the natural key, and who says so (`native`, `legacy`); what follows takes the native row.

create table commands (
    command_id      text        not null,
    kind            text        not null,
    ticket_id       text        not null,
    account         text        not null,
    ticker          text        not null,
    time            timestamptz not null,
    side            text,
    count           numeric,
    price           numeric,
    symbol          text,
    market          text,
    trade_strategy  text,
    contract        text,
    strike          numeric,
    prob            numeric,
    method          text,
    reason          text,
    client_order_id text        not null,
    origin          text        not null,
    topic           text        not null,
    partition       integer     not null,
    "offset"        bigint      not null,
    primary key (command_id, account, origin)
);

comment on table commands is 'What someone asked for: open, close, cancel, mark_error.';
comment on column commands.client_order_id is 'Of the order that the command asks for.';

create index commands_market on commands (ticker, account);
create index commands_ticket on commands (ticket_id);

create table trade_events (
    event_id   text        not null,
    kind       text        not null,
    ticket_id  text        not null,
    account    text        not null,
    ticker     text        not null,
    time       timestamptz not null,
    command_id text,
    order_id   text,
    reason     text,
    origin     text        not null,
    topic      text        not null,
    partition  integer     not null,
    "offset"   bigint      not null,
    primary key (event_id, origin)
);

comment on table trade_events is
    'Reported outcomes: order_accepted, order_rejected, close_failed, expired.';

create index trade_events_market on trade_events (ticker, account);

create table fills (
    account         text        not null,
    trade_id        text        not null,
    ticker          text        not null,
    order_id        text,
    client_order_id text,
    side            text        not null,
    yes_price       numeric     not null,
    count           numeric     not null,
    fee             numeric,
    is_taker        boolean,
    post_position   numeric,
    time            timestamptz not null,
    origin          text        not null,
    topic           text        not null,
    partition       integer     not null,
    "offset"        bigint      not null,
    primary key (trade_id, account, origin)
);

comment on table fills is 'Every execution; trade_id is the venue''s, side the outcome acquired.';
comment on column fills.fee is 'As the venue gave it; see trade_fills for what was reckoned.';

create index fills_market on fills (ticker, account);

create table orders (
    account         text    not null,
    order_id        text    not null,
    ticker          text    not null,
    client_order_id text,
    side            text    not null,
    status          text    not null,
    kind            text,
    yes_price       numeric,
    initial_count   numeric not null,
    fill_count      numeric not null,
    remaining_count numeric not null,
    fill_cost       numeric,
    fees            numeric,
    created         timestamptz,
    updated         timestamptz,
    expires         timestamptz,
    reason          text,
    origin          text    not null,
    topic           text    not null,
    partition       integer not null,
    "offset"        bigint  not null,
    primary key (order_id, account, origin)
);

comment on table orders is 'The newest state of every order; yes_price is the limit, not what was paid.';

create index orders_market on orders (ticker, account);

create table position_facts (
    account      text        not null,
    ticker       text        not null,
    position     numeric     not null,
    cost         numeric,
    realized_pnl numeric,
    fees         numeric,
    time         timestamptz not null,
    origin       text        not null,
    topic        text        not null,
    partition    integer     not null,
    "offset"     bigint      not null,
    primary key (ticker, account, origin)
);

comment on table position_facts is
    'The newest word of the venue on each position; venue_positions knows of snapshots too.';

create table settlements (
    account      text        not null,
    ticker       text        not null,
    settled_time timestamptz not null,
    result       text        not null,
    value        numeric,
    yes_count    numeric     not null,
    no_count     numeric     not null,
    yes_cost     numeric,
    no_cost      numeric,
    revenue      numeric     not null,
    fee          numeric,
    origin       text        not null,
    topic        text        not null,
    partition    integer     not null,
    "offset"     bigint      not null,
    primary key (ticker, account, settled_time, origin)
);

comment on table settlements is 'Markets that paid out; value is what one YES contract pays.';

create table balances (
    account         text        not null,
    time            timestamptz not null,
    balance         numeric     not null,
    exact           boolean     not null,
    portfolio_value numeric,
    received        timestamptz not null,
    origin          text        not null,
    topic           text        not null,
    partition       integer     not null,
    "offset"        bigint      not null,
    primary key (account, time, balance, origin)
);

comment on table balances is 'Every observation of the available cash.';
comment on column balances.exact is 'False where the source cuts off what is less than a cent.';

create table transfers (
    account     text        not null,
    kind        text        not null,
    transfer_id text        not null,
    status      text        not null,
    method      text,
    amount      numeric     not null,
    fee         numeric     not null,
    created     timestamptz not null,
    finalized   timestamptz,
    origin      text        not null,
    topic       text        not null,
    partition   integer     not null,
    "offset"    bigint      not null,
    primary key (account, kind, transfer_id, status, origin)
);

comment on table transfers is 'Deposits and withdrawals, one row for each state that they were in.';

create table snapshots (
    account     text        not null,
    snapshot_id text        not null,
    bound       text        not null,
    time        timestamptz not null,
    tickers     text[],
    origin      text        not null,
    topic       text        not null,
    partition   integer     not null,
    "offset"    bigint      not null,
    primary key (snapshot_id, account, bound, origin)
);

comment on table snapshots is
    'When each full reading of the positions started and finished: these tickers and no others.';

create index snapshots_newest on snapshots (account, time desc) where bound = 'finished';

-- Contents that differ from the one that the table of the fact holds under the same key.
create table fact_conflicts (
    fact    text  not null,
    key     text  not null,
    content text  not null,
    body    jsonb not null,
    primary key (fact, key, content)
);

comment on table fact_conflicts is
    'Contents of a fact that lost against the one in its table.';

-- What follows from the facts

create table trades (
    ticket_id      text        not null primary key,
    id             bigint      not null,
    account        text        not null,
    ticker         text        not null,
    status         text        not null,
    asked_at       timestamptz not null,
    opened_at      timestamptz,
    closed_at      timestamptz,
    symbol         text,
    market         text,
    trade_strategy text,
    contract       text,
    strike         numeric,
    side           text        not null,
    prob           numeric,
    diff           integer,
    requested      numeric     not null,
    position       numeric     not null,
    held           numeric     not null,
    canceled       numeric     not null,
    buy_price      numeric,
    sell_price     numeric,
    fees           numeric     not null,
    fee_estimated  boolean     not null,
    pnl            numeric,
    win_loss       text,
    entry_method   text,
    close_method   text,
    origin         text        not null
);

comment on table trades is 'One row for each ticket; every column follows from the facts.';
comment on column trades.requested is 'Contracts that the command asked for.';
comment on column trades.position is 'Contracts bought for it.';
comment on column trades.held is 'Contracts of it that are neither sold nor settled.';
comment on column trades.canceled is 'Contracts of its canceled opening orders that were not filled.';
comment on column trades.pnl is 'Profit after fees, once nothing is held.';

create index trades_market on trades (ticker, account);
create index trades_active on trades (ticket_id) where status in ('pending', 'open', 'closing');
create index trades_id on trades (id);

create table trade_closes (
    account    text not null,
    command_id text not null,
    ticker     text not null,
    ticket_id  text,
    primary key (command_id, account)
);

comment on table trade_closes is 'Which trade each close command closes; null for none.';

create index trade_closes_market on trade_closes (ticker, account);
create index trade_closes_ticket on trade_closes (ticket_id);

create table trade_fills (
    account    text        not null,
    trade_id   text        not null,
    part       integer     not null,
    ticker     text        not null,
    ticket_id  text,
    role       text,
    time       timestamptz not null,
    side       text        not null,
    count      numeric     not null,
    price      numeric     not null,
    fee        numeric     not null,
    fee_source text        not null,
    reason     text,
    primary key (trade_id, account, part)
);

comment on table trade_fills is
    'Which part of each fill belongs to which trade; parts without a ticket belong to none.';
comment on column trade_fills.price is 'Of the side acquired.';
comment on column trade_fills.fee_source is 'fill, order (spread by count) or formula.';

create index trade_fills_market on trade_fills (ticker, account);
create index trade_fills_ticket on trade_fills (ticket_id);

create table positions (
    account      text        not null,
    ticker       text        not null,
    position     numeric     not null,
    cost         numeric     not null,
    realized_pnl numeric     not null,
    fees_paid    numeric     not null,
    volume       numeric     not null,
    settled_at   timestamptz,
    payout       numeric,
    updated_at   timestamptz not null,
    primary key (ticker, account)
);

comment on table positions is
    'Contracts held by fills and settlements alone: positive for YES, negative for NO.';
comment on column positions.realized_pnl is 'Before fees.';
comment on column positions.payout is 'What the settlement should have paid for the contracts held.';

create table cash_flows (
    account text        not null,
    ticker  text        not null,
    kind    text        not null,
    ref     text        not null,
    part    integer     not null,
    time    timestamptz not null,
    amount  numeric     not null,
    primary key (ticker, account, kind, ref, part)
);

comment on table cash_flows is
    'How each fill, fee, settlement and resting order moves the available cash.';
