drop table idempotency_keys;
drop table decisions;
drop table policy_revisions;
drop table checkpoints;
drop table revocations;
drop table api_keys;
drop table agents;
drop table topics;
