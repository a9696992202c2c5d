-- Which venue's price stands for a symbol. Only views choose by it; projections never read it.

create table reference_venues (
    symbol text not null primary key,
    venue  text not null
);

comment on table reference_venues is
    'The venue whose price stands for a symbol; read by views only.';

insert into reference_venues (symbol, venue)
values ('BTC-USD', 'coinbase'), ('ETH-USD', 'coinbase'), ('BRTI', 'cfbenchmarks');
