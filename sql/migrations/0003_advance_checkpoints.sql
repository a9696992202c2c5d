-- Moving checkpoints by compare-and-set. It raises where one is not where the caller believes, so
-- that what was sent behind it in the same round trip is not done either.

create function advance_checkpoints(
    of_projection text,
    of_generation integer,
    topics text[],
    partitions integer[],
    epochs bigint[],
    starts bigint[],
    untils bigint[]
) returns void
language plpgsql
as $$
declare
    moved integer;
begin
    update public.checkpoints as c
    set next_offset = v.until
    from unnest(topics, partitions, epochs, starts, untils)
        as v (topic, partition, epoch, start, until)
    where c.projection = of_projection and c.generation = of_generation
        and c.topic = v.topic and c.partition = v.partition
        and c.epoch = v.epoch and c.next_offset = v.start;
    get diagnostics moved = row_count;
    if moved <> cardinality(topics) then
        raise exception 'fenced: % of % checkpoints are where the caller believes',
            moved, cardinality(topics)
            using errcode = 'TT001';
    end if;
end
$$;
