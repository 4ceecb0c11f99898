drop table frequent_dids;
