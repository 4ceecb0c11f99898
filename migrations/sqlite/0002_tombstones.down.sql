drop table tombstones;
