-- Who called most often of late, by any node: names to look up at the start, no keys.
create table frequent_dids (
  did text collate "C" primary key,
  -- In the order of the node that noted it last, from 0.
  place bigint not null,
  noted_at_ms bigint not null
);
