-- Without a unique key, so that a record that was projected twice shows as two rows.
create table tally (
    partition integer not null,
    "offset"  bigint  not null,
    digest    text    not null
);
