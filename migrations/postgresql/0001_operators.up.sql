-- What the operators' API remembers. Times are milliseconds since the epoch.
-- Text that is compared or ordered is compared as bytes, whatever the locale of the server, as SQLite does.

-- One row for each kind of row that every node keeps in memory; its version grows with each change of them.
create table topics (
  topic text collate "C" primary key,
  version bigint not null
);
insert into topics (topic, version) values ('agents', 1), ('api_keys', 1), ('policy', 1), ('revocations', 1);

create table agents (
  id text collate "C" primary key,
  definition text not null,
  version bigint not null,
  created_at_ms bigint not null,
  updated_at_ms bigint not null,
  updated_by text not null
);

-- Two secrets at most, which rotation needs: the present one, and the one before it until it expires.
create table api_keys (
  id text collate "C" primary key,
  name text not null,
  role text not null,
  scopes text,
  secret_hash text not null,
  secret_expires_at_ms bigint,
  old_secret_hash text,
  old_secret_expires_at_ms bigint,
  created_at_ms bigint not null,
  created_by text not null,
  expires_at_ms bigint,
  revoked_at_ms bigint,
  last_used_at_ms bigint
);
create index api_keys_by_time on api_keys (created_at_ms, id);

create table revocations (
  id text collate "C" primary key,
  did text collate "C" not null,
  key_id text collate "C",
  reason text not null,
  created_at_ms bigint not null,
  created_by text not null,
  expires_at_ms bigint
);
create unique index revocations_by_subject on revocations (did, coalesce(key_id, ''));
create index revocations_by_time on revocations (created_at_ms, id);

create table checkpoints (
  chain_id bigint primary key,
  block_number bigint not null,
  block_hash text not null
);

create table policy_revisions (
  sequence bigint primary key,
  revision text not null,
  text text,
  note text not null,
  created_at_ms bigint not null,
  created_by text not null
);

create table decisions (
  request_id text collate "C" not null,
  at_ms bigint not null,
  trace_id text not null,
  transport text not null,
  method text not null,
  path text not null,
  address text collate "C" not null,
  agent_id text collate "C" not null,
  did text collate "C" not null,
  key_id text collate "C" not null,
  effect text not null,
  rule_id text collate "C" not null,
  policy_revision text not null,
  status bigint not null,
  code text collate "C" not null,
  detail text not null
);
create unique index decisions_by_request on decisions (request_id);
-- A page is newest first, so each index ends with what it is ordered by; filters without one are read along the first.
create index decisions_by_time on decisions (at_ms, request_id);
create index decisions_by_did on decisions (did, at_ms, request_id);
create index decisions_by_agent on decisions (agent_id, at_ms, request_id);
create index decisions_by_address on decisions (address, at_ms, request_id);
create index decisions_by_code on decisions (code, at_ms, request_id);
create index decisions_by_rule on decisions (rule_id, at_ms, request_id);

create table idempotency_keys (
  actor text collate "C" not null,
  key text collate "C" not null,
  request_hash text not null,
  begun_at_ms bigint not null,
  -- Both null while it runs.
  status bigint,
  body text,
  primary key (actor, key)
);
create index idempotency_keys_by_time on idempotency_keys (begun_at_ms);
