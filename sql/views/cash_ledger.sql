-- From each balance to the next: what moved the cash, and what nothing explains.
--
-- The venue stamps a balance with a whole second, so the flows of that second may be in it or not:
-- as many of them, in their order, as explain the balance best. Balances of one second: the last.
-- A source without fractions of a cent is believed to the cent.

create or replace view cash_movements as
select account, time, kind, ref, part, amount from cash_flows
union all
select
    t.account,
    coalesce(t.finalized, t.created) as time,
    'transfer' as kind,
    t.kind || ' ' || t.transfer_id || ' ' || t.status as ref,
    0 as part,
    case when (t.kind = 'deposit') = (t.status = 'applied') then 1 else -1 end * (
        case t.kind when 'deposit' then t.amount - t.fee else t.amount + t.fee end
    ) as amount
from standing_transfers as t
where t.status = 'applied'
    or (
        t.status = 'returned'
        and exists (
            select from transfers as a
            where a.account = t.account and a.kind = t.kind
                and a.transfer_id = t.transfer_id and a.status = 'applied'
        )
    );

-- Of one account, or of all.
create or replace function cash_ledger_rows(of_account text default null)
returns table (
    account text,
    since timestamptz,
    observed timestamptz,
    balance numeric,
    change numeric,
    fills numeric,
    fees numeric,
    settlements numeric,
    transfers numeric,
    holds numeric,
    unexplained numeric
)
language plpgsql stable
set search_path = public
as $$
#variable_conflict use_column
declare
    -- Running sums by kind: fill, fee, settlement, transfer, hold.
    kinds constant text[] := array['fill', 'fee', 'settlement', 'transfer', 'hold'];
    sums numeric[];
    choices numeric[][];      -- the sums after each flow that this balance may include
    is_open boolean;
    whose text := '';
    step record;
    last_time timestamptz;
    last_balance numeric;
    last_exact boolean;
    last_choices numeric[][]; -- more than one after an account's first balance
    old_sums numeric[];
    new_sums numeric[];
    best numeric;
    best_old numeric[];
    best_new numeric[];
    rest numeric;
begin
    for step in
        with observed as (
            select distinct on (b.account, date_trunc('second', b.time))
                b.account, date_trunc('second', b.time) as time, b.balance, b.exact
            from balances as b
            where b.account = coalesce(of_account, b.account)
            order by b.account, date_trunc('second', b.time), b.origin = 'legacy', b.received desc,
                b.balance
        )
        select o.account, o.time as at, 1 as turn, o.time, '' as kind, '' as ref, 0 as part,
            o.balance as amount, o.exact
        from observed as o
        union all
        select o.account, o.time + interval '1 second', 0, o.time, '', '', 0, o.balance, o.exact
        from observed as o
        union all
        select m.account, m.time, 2, m.time, m.kind, m.ref, m.part, m.amount, true
        from cash_movements as m
        where m.account = coalesce(of_account, m.account)
        order by account, at, turn, kind, ref, part
    loop
        if step.account <> whose then
            whose := step.account;
            sums := array[0, 0, 0, 0, 0];
            is_open := false;
            last_time := null;
        end if;
        if step.turn = 2 then
            sums[array_position(kinds, step.kind)] :=
                sums[array_position(kinds, step.kind)] + step.amount;
            if is_open then
                choices := choices || array[sums];
            end if;
            continue;
        elsif step.turn = 1 then
            is_open := true;
            choices := array[sums];
            continue;
        end if;
        is_open := false;
        account := step.account;
        since := last_time;
        observed := step.time;
        balance := step.amount;
        if last_time is null then
            change := null; fills := null; fees := null; settlements := null;
            transfers := null; holds := null; unexplained := null;
            last_choices := choices;
        else
            best := null;
            foreach old_sums slice 1 in array last_choices loop
                foreach new_sums slice 1 in array choices loop
                    rest := step.amount - last_balance
                        - (select sum(n - o) from unnest(new_sums, old_sums) as u (n, o));
                    if best is null or abs(rest) <= abs(best) then
                        best := rest;
                        best_old := old_sums;
                        best_new := new_sums;
                    end if;
                end loop;
            end loop;
            change := step.amount - last_balance;
            fills := best_new[1] - best_old[1];
            fees := best_new[2] - best_old[2];
            settlements := best_new[3] - best_old[3];
            transfers := best_new[4] - best_old[4];
            holds := best_new[5] - best_old[5];
            unexplained := case
                when not (step.exact and last_exact) and abs(best) < 0.01 then 0
                else best
            end;
            last_choices := array[best_new];
        end if;
        last_time := step.time;
        last_balance := step.amount;
        last_exact := step.exact;
        return next;
    end loop;
end
$$;

create or replace view cash_ledger as
select
    account, since, observed as time, balance, change, fills, fees, settlements, transfers, holds,
    unexplained
from cash_ledger_rows(null);

create or replace view cash_unexplained as
select account, since, time, unexplained as amount
from cash_ledger
where unexplained <> 0;
