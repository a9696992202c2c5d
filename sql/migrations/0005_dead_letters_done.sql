-- What became of a dead letter: `tape dlq retry` marks the frames that could be read after all.

alter table dead_letters add column done timestamptz;

comment on column dead_letters.done is
    'When what it says was in the log after all; null while it waits.';

create index dead_letters_waiting on dead_letters (topic_id, partition, "offset")
where done is null;
