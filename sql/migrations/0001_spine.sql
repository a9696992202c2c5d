-- What is not disposable: where each projection stands, and what it could not use.

create table generations (
    projection text        not null,
    generation integer     not null check (generation > 0),
    version    integer     not null,
    is_current boolean     not null default false,
    created    timestamptz not null default now(),
    primary key (projection, generation)
);

comment on table generations is
    'The table sets of each projection: generation N lives in the schema <projection>_N.';

create unique index generations_one_current on generations (projection) where is_current;

create table checkpoints (
    projection  text    not null,
    generation  integer not null,
    topic       text    not null,
    topic_id    uuid    not null,
    partition   integer not null,
    next_offset bigint  not null check (next_offset >= 0),
    epoch       bigint  not null,
    primary key (projection, generation, topic, partition),
    foreign key (projection, generation) references generations on delete cascade
)
with (fillfactor = 50);

comment on table checkpoints is
    'The truth about progress: moves in the transaction that writes the rows.';

create table dead_letters (
    projection text        not null,
    topic      text        not null,
    topic_id   uuid        not null,
    partition  integer     not null,
    "offset"   bigint      not null,
    key        bytea,
    headers    jsonb       not null,
    value      bytea,
    error      text        not null,
    appended   timestamptz not null,
    refused    timestamptz not null default now(),
    copied     boolean     not null default false,
    primary key (projection, topic_id, partition, "offset")
);

comment on table dead_letters is
    'Records that a projection could not use, whole, with the reason.';
comment on column dead_letters.copied is
    'Whether a copy was sent to the dead letter topic.';

create index dead_letters_to_copy on dead_letters (projection, topic_id, partition, "offset")
where not copied;
