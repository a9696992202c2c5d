-- The table of the projection `tally`, created in the schema of a generation.
-- It has no key on purpose: a record that were projected twice would show.

create table tally_trades (
    symbol   text           not null,
    trade_id text           not null,
    price    numeric(20, 2) not null,
    size     numeric        not null check (size < 1000)
);
