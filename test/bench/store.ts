/**
 * What the store and admission cost per call, in microseconds of CPU (user + system) of this process, on this
 * machine, now. `node test/bench/store.ts` prints it.
 */
import { randomBytes } from 'node:crypto';
import Fastify from 'fastify';
import { createAdmission } from '../../src/gateway/admission/admission.ts';
import { admissionPlugin } from '../../src/gateway/admission/plugin.ts';
import { createBlocks } from '../../src/store/blocks.ts';
import { createLimits } from '../../src/store/limits.ts';
import { createTable } from '../../src/store/memory/table.ts';
import { createMemoryNonces, createSharedNonces, type NonceUse } from '../../src/store/nonces.ts';
import { connectRedis, type StoreLog } from '../../src/store/redis/connection.ts';
import { startRedis } from '../support/redis.ts';

const PASSES = 5;
const CALLS = 100_000;
const REDIS_CALLS = 20_000;
/** As many requests wait for Redis at one time as a busy gateway has. */
const REDIS_AT_ONCE = 64;
const rule = { ratePerPeriod: 1e6, periodMs: 1_000, burst: 1_000_000 };
const silent = () => undefined;
const log: StoreLog = { debug: silent, info: silent, warn: silent, error: silent };

/** The median of the passes; the first also warms up. */
function measure(call: (at: number) => unknown): number {
  const passes: number[] = [];
  for (let pass = 0; pass < PASSES; pass += 1) {
    const before = process.cpuUsage();
    for (let at = 0; at < CALLS; at += 1) call(pass * CALLS + at);
    passes.push(spent(before) / CALLS);
  }
  return median(passes);
}

async function measureRedis(call: (at: number) => unknown): Promise<number> {
  const passes: number[] = [];
  for (let pass = 0; pass < 3; pass += 1) {
    const before = process.cpuUsage();
    for (let at = 0; at < REDIS_CALLS; at += REDIS_AT_ONCE) {
      const batch = Array.from({ length: REDIS_AT_ONCE }, (_, one) => call(pass * REDIS_CALLS + at + one));
      await Promise.all(batch.map((answer) => Promise.resolve(answer)));
    }
    passes.push(spent(before) / REDIS_CALLS);
  }
  return median(passes);
}

function spent(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function median(passes: number[]): number {
  return passes.sort((a, b) => a - b)[passes.length >> 1] ?? Number.NaN;
}

/** As app.ts has it. */
const clock = { monotonicNow: () => Number(process.hrtime.bigint()) / 1e6, log };
const DID = 'did:key:z6MkqRYqQiSgvZQdnBytw86Qbs2ZWUkGv22od935YF4s8M7V';
const KEY_ID = `${DID}#z6MkqRYqQiSgvZQdnBytw86Qbs2ZWUkGv22od935YF4s8M7V`;

const useOf = (at: number, now: number): NonceUse => ({
  did: DID,
  key: KEY_ID,
  nonce: `nonce-of-sixteen-${at}`,
  createdSeconds: Math.ceil(now / 1_000) + 1,
  aheadMs: 5_000,
  expiresAtMs: now + 65_000,
});

function measureMemory() {
  const now = Date.now();
  const table = createTable({ seed: randomBytes(32), startedAtMs: now, monotonicMs: clock.monotonicNow() });
  const nonces = createMemoryNonces(table, clock);
  const limits = createLimits(table, null);
  const blocks = createBlocks({ table, redis: null, now: Date.now, log });
  const admission = createAdmission(limits, blocks, 300);
  admission.setLimits({ perAddress: rule, perDid: rule });
  const dids = Array.from({ length: 1_000 }, (_, at) => `did:web:agent-${at}.example`);
  const addresses = Array.from({ length: 1_000 }, (_, at) => `2001:db8:${at.toString(16)}::1`);
  const did = (at: number) => dids[at % dids.length] ?? '';
  const address = (at: number) => addresses[at % addresses.length] ?? '';
  return {
    nonce_us: measure((at) => nonces.reserve(useOf(at, now), Date.now())),
    limit_check_us_local: measure((at) => limits.take(did(at), rule, now + at / 100)),
    admit_address_us: measure((at) => admission.admitAddress(address(at), now + at / 100)),
    admit_caller_us: measure((at) => admission.admitCaller(did(at), now + at / 100)),
  };
}

/** What the same check costs through @fastify/rate-limit, whose limiter answers with a promise. */
async function measureShell(): Promise<number> {
  const table = createTable({ seed: randomBytes(32), startedAtMs: 0, monotonicMs: 0 });
  const blocks = createBlocks({ table, redis: null, now: Date.now, log });
  const app = Fastify();
  await app.register(admissionPlugin, {
    limits: createLimits(table, null),
    blocks,
    newCallersPerMinute: 300,
    now: Date.now,
  });
  const check = app.createRateLimit({ max: 1_000_000, timeWindow: 1_000, keyGenerator: () => '192.0.2.1' });
  const passes: number[] = [];
  app.get('/', { config: { rateLimit: false } }, async (request) => {
    for (let pass = 0; pass < PASSES; pass += 1) {
      const before = process.cpuUsage();
      for (let at = 0; at < CALLS; at += 1) await check(request);
      passes.push(spent(before) / CALLS);
    }
    return '';
  });
  await app.inject('/');
  await app.close();
  return median(passes);
}

async function measureShared() {
  const redis = await startRedis();
  const now = Date.now();
  const table = createTable({ seed: randomBytes(32), startedAtMs: now, monotonicMs: clock.monotonicNow() });
  const store = connectRedis({
    url: redis.url,
    log,
    now: Date.now,
    nodeId: 'bench-node',
    createdAheadMsMax: 5_000,
  });
  await store.ready;
  const nonces = createSharedNonces(table, store, clock);
  const limits = createLimits(table, store);
  const redis_nonce_us = await measureRedis((at) => nonces.reserve(useOf(at, now), Date.now()));
  const limit_check_us_strict = await measureRedis((at) => limits.take(`did:${at % 1_000}`, rule, now));
  await store.close();
  await redis.stop();
  return { redis_nonce_us, limit_check_us_strict };
}

/** Microseconds of CPU per call. */
export async function measureStore(): Promise<Record<string, number>> {
  return { ...measureMemory(), rate_limit_shell_us: await measureShell(), ...(await measureShared()) };
}

if (process.argv[1] === import.meta.filename) console.table(await measureStore());
