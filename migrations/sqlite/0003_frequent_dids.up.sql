-- Who called most often of late, by any node: names to look up at the start, no keys.
create table frequent_dids (
  did text primary key,
  -- In the order of the node that noted it last, from 0.
  place integer not null,
  noted_at_ms integer not null
) strict, without rowid;
