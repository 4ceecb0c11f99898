/** Limits: GCRA buckets in this process's table, or in Redis for all nodes together. */
import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
  backlogUs,
  intervalUs,
  judge,
  type LimitOutcome,
  type LimitRule,
  localShare,
  nextTatUs,
} from './gcra.ts';
import { FULL } from './memory/region.ts';
import type { Table } from './memory/table.ts';
import type { Tag } from './memory/tag.ts';
import type { RedisStore } from './redis/connection.ts';

export interface LimitStore {
  /**
   * Takes one call, or `cost` of them, from a bucket. Answers at once when this node decides alone.
   * @param bucket names who is limited and by what, such as `did:did:web:a.example`.
   */
  take(bucket: string, rule: LimitRule, nowMs: number, cost?: number): LimitOutcome | Promise<LimitOutcome>;
}

/** Callers whose tag is kept, to save a hash per call; a lost entry costs 0.4 us, so size is not a matter of safety. */
const TAGS_MAX = 16_384;
/** A longer name is kept nowhere, here or in Redis, but as a hash: names are of strangers' choosing. */
const NAME_CHARS_MAX = 256;
/** How soon to come back when there was no room for a bucket: slots free themselves within a second. */
const FULL_RETRY_MS = 1_000;

/** @param redis null when this node is alone. */
export function createLimits(table: Table, redis: RedisStore | null): LimitStore {
  const tags = new LRUCache<string, Tag>({ max: TAGS_MAX });

  const tagOf = (bucket: string): Tag => {
    const known = tags.get(bucket);
    if (known !== undefined) return known;
    const tag = table.tag(bucket);
    if (bucket.length <= NAME_CHARS_MAX) tags.set(bucket, tag);
    return tag;
  };

  const takeHere = (bucket: string, rule: LimitRule, nowMs: number, cost: number, degraded: boolean) => {
    const interval = intervalUs(rule);
    const capacity = interval * rule.burst;
    const now = Math.floor(nowMs * 1000);
    const tat = table.counters.update(tagOf(bucket), now, nextTatUs, cost * interval, capacity);
    if (tat === FULL) return fullOutcome(rule, degraded);
    return judge(rule, backlogUs(tat, now, capacity), cost, degraded);
  };

  /** This node's part of what all may spend; the quota told to the caller stays the whole. */
  const takeShare = (
    bucket: string,
    rule: LimitRule,
    nowMs: number,
    cost: number,
    nodes: number,
  ): LimitOutcome => {
    const outcome = takeHere(bucket, localShare(rule, nodes), nowMs, cost, true);
    return { ...outcome, limit: rule.ratePerPeriod };
  };

  const takeThere = async (
    store: RedisStore,
    bucket: string,
    rule: LimitRule,
    nowMs: number,
    cost: number,
  ) => {
    const interval = intervalUs(rule);
    const name = bucket.length <= NAME_CHARS_MAX ? bucket : hash('sha256', bucket, 'base64url');
    const key = `${store.prefix}limit:${name}`;
    try {
      const backlog = await store.run((client) => client.gcra(key, cost * interval, rule.burst * interval));
      return judge(rule, backlog, cost, false);
    } catch {
      // Whatever Redis answered, a limit is never a reason to refuse everybody nor to admit everybody.
      return takeShare(bucket, rule, nowMs, cost, store.liveNodes());
    }
  };

  return {
    take(bucket, rule, nowMs, cost = 1) {
      if (redis === null || rule.scope === 'local') return takeHere(bucket, rule, nowMs, cost, false);
      if (!redis.usable()) return takeShare(bucket, rule, nowMs, cost, redis.liveNodes());
      return takeThere(redis, bucket, rule, nowMs, cost);
    },
  };
}

function fullOutcome(rule: LimitRule, degraded: boolean): LimitOutcome {
  return {
    allowed: false,
    limit: rule.ratePerPeriod,
    remaining: 0,
    resetMs: FULL_RETRY_MS,
    retryAfterMs: FULL_RETRY_MS,
    full: true,
    degraded,
  };
}
