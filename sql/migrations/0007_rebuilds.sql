-- Generations that are being built beside the current one, and what they could not use.

alter table generations add column built timestamptz;
alter table generations add column purpose text not null default 'rebuild'
    check (purpose in ('rebuild', 'verify'));

comment on column generations.built is
    'When it was current for the first time; null while it is being built, or was left over.';

update generations set built = created where is_current;

create table built_dead_letters (
    projection text        not null,
    generation integer     not null,
    topic      text        not null,
    topic_id   uuid        not null,
    partition  integer     not null,
    "offset"   bigint      not null,
    key        bytea,
    headers    jsonb       not null,
    value      bytea,
    error      text        not null,
    appended   timestamptz not null,
    primary key (projection, generation, topic_id, partition, "offset"),
    foreign key (projection, generation) references generations on delete cascade
);

comment on table built_dead_letters is
    'Records that a generation could not use while it was being built; `dead_letters` after the swap.';

alter table dead_letters add column done_generation integer;

comment on column dead_letters.done_generation is
    'The generation that has its rows; null where what it says was appended to the log anew.';
