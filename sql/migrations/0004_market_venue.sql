-- Which venue's markets an account trades. The demo of a venue has the same tickers as the venue
-- itself, at other prices, so its market data goes by a name of its own: `kalshi_demo`.

create function market_venue(account text) returns text
language sql immutable
return case split_part(account, '/', 2)
    when 'prod' then split_part(account, '/', 1)
    else split_part(account, '/', 1) || '_' || split_part(account, '/', 2)
end;

comment on function market_venue is 'The venue of the markets that an account trades.';
