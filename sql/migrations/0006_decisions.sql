-- What an operator decided, and what became of each dead letter.

create table decisions (
    id        uuid        not null primary key,
    number    bigint      not null generated always as identity,
    ce_type   text        not null,
    ce_source text        not null,
    subject   text        not null,
    body      text        not null,
    decided   timestamptz not null,
    copied    boolean     not null default false
);

comment on table decisions is
    'What an operator decided: written with the deed, in one transaction, and sent from here.';
comment on column decisions.body is 'The event''s value, JSON, as the topic system.decisions has it.';
comment on column decisions.copied is 'Whether it was sent to the topic.';

create index decisions_to_copy on decisions (number) where not copied;

alter table dead_letters
    add column outcome    text check (outcome in ('read', 'projected', 'discarded')),
    add column tries      integer not null default 0,
    add column tried      timestamptz,
    add column last_error text;

update dead_letters set outcome = 'read' where done is not null;

alter table dead_letters
    add constraint dead_letters_done_is_told check ((done is null) = (outcome is null));

comment on column dead_letters.done is 'When it was done with; null while it waits.';
comment on column dead_letters.outcome is
    '`read`: what its frame says was appended to the log; `projected`: its record was, after all; `discarded`: it is not wanted.';
comment on column dead_letters.tries is 'How often a redrive failed, the last time at `tried`.';
comment on column dead_letters.last_error is 'Why the last redrive failed; `error` stays the first.';
