-- The tables of the projection `health`, created in the schema of a generation.

create table health_services (
    service           text        not null,
    instance          text        not null,
    state             text        not null,
    since             timestamptz not null,
    detail            text,
    crash_loop        bigint,
    last_frame        timestamptz,
    frames            bigint      not null,
    frames_per_second numeric     not null,
    events            bigint      not null,
    reconnects        bigint      not null,
    gaps              bigint      not null,
    unparsed          bigint      not null,
    clock_skew        bigint,
    cpu_percent       numeric     not null,
    memory_bytes      bigint      not null,
    scope             text,
    complete_until    timestamptz,
    time              timestamptz not null,
    content           text        collate "C" not null,
    appended          timestamptz not null,
    topic             text        not null default 'system.health',
    partition         integer     not null,
    "offset"          bigint      not null,
    primary key (service, instance)
)
with (fillfactor = 50);

comment on table health_services is
    'The newest heartbeat of each run of a service: `producer/coinbase`, `worker/prices`.';
comment on column health_services.instance is 'One run of one process: host, pid, start.';
comment on column health_services.since is 'When it got into this state.';
comment on column health_services.crash_loop is
    'How often it crashed in quick succession, where that is a crash loop.';
comment on column health_services.frames is
    'Since it started, as events, reconnects, gaps and unparsed; of a worker these are records.';
comment on column health_services.clock_skew is
    'This machine''s clock less the venue''s, in microseconds, at least.';
comment on column health_services.cpu_percent is 'Share of one core, of the whole process.';
comment on column health_services.time is 'When it said so; of two at once the greater content stands.';
comment on column health_services.content is 'A hash of the event.';
comment on column health_services.appended is 'When the log took the record.';

create table health_changes (
    service    text        not null,
    instance   text        not null,
    since      timestamptz not null,
    state      text        not null,
    detail     text,
    crash_loop bigint,
    last_seen  timestamptz not null,
    content    text        collate "C" not null,
    appended   timestamptz not null,
    topic      text        not null default 'system.health',
    partition  integer     not null,
    "offset"   bigint      not null,
    primary key (service, instance, since, state)
)
with (fillfactor = 50);

comment on table health_changes is
    'Every state that a service was in, from when on, and with what detail it was last told.';
comment on column health_changes.last_seen is 'Of the newest heartbeat that tells of it.';

create table health_minutes (
    service           text        not null,
    minute            timestamptz not null,
    instance          text        not null,
    state             text        not null,
    frames            bigint      not null,
    frames_per_second numeric     not null,
    events            bigint      not null,
    reconnects        bigint      not null,
    gaps              bigint      not null,
    unparsed          bigint      not null,
    clock_skew        bigint,
    cpu_percent       numeric     not null,
    memory_bytes      bigint      not null,
    time              timestamptz not null,
    content           text        collate "C" not null,
    appended          timestamptz not null,
    topic             text        not null default 'system.health',
    partition         integer     not null,
    "offset"          bigint      not null,
    primary key (service, minute, instance)
)
with (fillfactor = 80);

comment on table health_minutes is
    'Of each run of a service and each UTC minute the last heartbeat; counts are since it started.';

create table health_restarts (
    service    text        not null,
    supervisor text        not null,
    time       timestamptz not null,
    action     text        not null,
    reason     text        not null,
    restarts   bigint      not null,
    pause_ms   bigint      not null,
    content    text        collate "C" not null,
    appended   timestamptz not null,
    topic      text        not null default 'system.health',
    partition  integer     not null,
    "offset"   bigint      not null,
    primary key (service, supervisor, time)
);

comment on table health_restarts is
    'What supervisors did about processes and feeds that died: restarted, crash_loop, gave_up.';
comment on column health_restarts.restarts is 'How often it was started again, this time included.';
comment on column health_restarts.pause_ms is 'The pause before it starts again.';

create table health_incidents (
    incident  text        not null,
    cause     text        not null,
    action    text        not null,
    severity  text        not null,
    title     text        not null,
    detail    text,
    symptoms  text[]      not null,
    opened    timestamptz not null,
    closed    timestamptz,
    changed   timestamptz not null,
    service   text        not null,
    content   text        collate "C" not null,
    appended  timestamptz not null,
    topic     text        not null default 'system.health',
    partition integer     not null,
    "offset"  bigint      not null,
    primary key (incident, cause)
);

comment on table health_incidents is 'Every incident as it was last told.';
comment on column health_incidents.action is 'What was told last: opened, changed or closed.';
comment on column health_incidents.changed is 'When that was found.';
comment on column health_incidents.service is 'Who says so.';

-- What is older than this is in no table, and is not written any more.
create table health_kept (
    since timestamptz not null
);

insert into health_kept (since) values ('2009-01-01 00:00:00+00');

-- Remove all that is older. It never goes back, so the order in which records come does not matter.
create function keep_health(start timestamptz)
returns void
language plpgsql
as $$
begin
    update health_kept set since = start where since < start;
    if found then
        delete from health_services where time < start;
        delete from health_changes where last_seen < start;
        delete from health_minutes where time < start;
        delete from health_restarts where time < start;
        delete from health_incidents where changed < start;
    end if;
end
$$;
