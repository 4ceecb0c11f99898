-- What the operators' API remembers. Times are milliseconds since the epoch.

-- One row for each kind of row that every node keeps in memory; its version grows with each change of them.
create table topics (
  topic text primary key,
  version integer not null
) strict, without rowid;
insert into topics (topic, version) values ('agents', 1), ('api_keys', 1), ('policy', 1), ('revocations', 1);

create table agents (
  id text primary key,
  definition text not null,
  version integer not null,
  created_at_ms integer not null,
  updated_at_ms integer not null,
  updated_by text not null
) strict;

-- Two secrets at most, which rotation needs: the present one, and the one before it until it expires.
create table api_keys (
  id text primary key,
  name text not null,
  role text not null,
  scopes text,
  secret_hash text not null,
  secret_expires_at_ms integer,
  old_secret_hash text,
  old_secret_expires_at_ms integer,
  created_at_ms integer not null,
  created_by text not null,
  expires_at_ms integer,
  revoked_at_ms integer,
  last_used_at_ms integer
) strict;
create index api_keys_by_time on api_keys (created_at_ms, id);

create table revocations (
  id text primary key,
  did text not null,
  key_id text,
  reason text not null,
  created_at_ms integer not null,
  created_by text not null,
  expires_at_ms integer
) strict;
create unique index revocations_by_subject on revocations (did, coalesce(key_id, ''));
create index revocations_by_time on revocations (created_at_ms, id);

create table checkpoints (
  chain_id integer primary key,
  block_number integer not null,
  block_hash text not null
) strict;

create table policy_revisions (
  sequence integer primary key,
  revision text not null,
  text text,
  note text not null,
  created_at_ms integer not null,
  created_by text not null
) strict;

create table decisions (
  request_id text not null,
  at_ms integer not null,
  trace_id text not null,
  transport text not null,
  method text not null,
  path text not null,
  address text not null,
  agent_id text not null,
  did text not null,
  key_id text not null,
  effect text not null,
  rule_id text not null,
  policy_revision text not null,
  status integer not null,
  code text not null,
  detail text not null
) strict;
create unique index decisions_by_request on decisions (request_id);
-- A page is newest first, so each index ends with what it is ordered by; filters without one are read along the first.
create index decisions_by_time on decisions (at_ms, request_id);
create index decisions_by_did on decisions (did, at_ms, request_id);
create index decisions_by_agent on decisions (agent_id, at_ms, request_id);
create index decisions_by_address on decisions (address, at_ms, request_id);
create index decisions_by_code on decisions (code, at_ms, request_id);
create index decisions_by_rule on decisions (rule_id, at_ms, request_id);

create table idempotency_keys (
  actor text not null,
  key text not null,
  request_hash text not null,
  begun_at_ms integer not null,
  -- Both null while it runs.
  status integer,
  body text,
  primary key (actor, key)
) strict, without rowid;
create index idempotency_keys_by_time on idempotency_keys (begun_at_ms);
