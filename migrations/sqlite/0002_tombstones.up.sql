-- Of each DID the last change on chain that took something away: what the shared tier holds from before it is not believed.
-- The row with an empty DID stands for every DID of its chain.
create table tombstones (
  chain_id integer not null,
  did text not null,
  block_number integer not null,
  -- Empty where the number alone tells.
  block_hash text not null,
  noted_at_ms integer not null,
  primary key (chain_id, did)
) strict, without rowid;
create index tombstones_by_time on tombstones (noted_at_ms);
