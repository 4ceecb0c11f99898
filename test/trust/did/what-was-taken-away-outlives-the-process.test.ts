import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, TombstoneRow, TombstoneRows } from '../../../src/store/database.ts';
import { openDatabase } from '../../../src/store/open-database.ts';
import { connectRedis, type RedisStore } from '../../../src/store/redis/connection.ts';
import { createSharedKeyCache, type SharedKeyCache } from '../../../src/store/redis/key-cache.ts';
import { sharedKey } from '../../../src/trust/did/chain-documents.ts';
import { openTombstones, type Tombstones } from '../../../src/trust/did/tombstones.ts';
import { until } from '../../support/gateway.ts';
import { redisAvailable, startRedis, type TestRedis } from '../../support/redis.ts';
import { CHAIN_ID, codeOf, didOf, newIdentity, newWorld, Registry, slot, type World } from './world.ts';

const QUIET = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

let folder: string;
let database: Database;
let tombstones: Tombstones;

const openStore = (dataDir: string): Promise<Database> =>
  openDatabase({
    databaseUrl: null,
    dataDir,
    poolMax: 1,
    statementTimeoutMs: 2_000,
    log: QUIET,
    now: Date.now,
  });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sage-tombstones-'));
  database = await openStore(folder);
  tombstones = openTombstones({ rows: database.tombstones, log: QUIET, now: Date.now });
  return async () => {
    await tombstones.close();
    await database.close();
    rmSync(folder, { recursive: true });
  };
});

describe.skipIf(!redisAvailable())('a value in Redis', () => {
  let server: TestRedis;
  let redis: RedisStore;
  let shared: SharedKeyCache;
  let registry: Registry;
  beforeAll(async () => {
    server = await startRedis();
    redis = connectRedis({
      url: server.url,
      log: QUIET,
      now: Date.now,
      nodeId: 'n',
      createdAheadMsMax: 5_000,
    });
    shared = createSharedKeyCache(redis);
    await redis.ready;
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });
  beforeEach(async () => {
    registry = new Registry();
    await shared.delete([1, 2].map((agentId) => sharedKey(didOf(agentId))));
  });

  /** A process that watches from this block on. */
  function start(watchedFrom: number): World {
    const world = newWorld({ shared, registry, tombstones });
    world.resolver.watchedFrom(CHAIN_ID, watchedFrom);
    return world;
  }
  const written = (agentId: number): Promise<string> =>
    until(() => shared.get(sharedKey(didOf(agentId))), 'the value is written');

  /** Reads agent 1 with a key at block 110, then takes the key away at 108 of another branch. */
  async function revokedOnAnotherBranch(): Promise<string> {
    registry.agents.set('1', [slot('k1', newIdentity())]);
    registry.blockNumber = 110;
    const before = start(100);
    await before.find(1);
    const value = await written(1);
    registry.blockNumber = 107;
    before.change(1, []);
    await tombstones.written();
    await until(async () => (await shared.get(sharedKey(didOf(1)))) === null, 'the value is deleted');
    before.resolver.close();
    return value;
  }

  it('is not used when it is newer by number alone, on a branch that was dropped, before a restart', async () => {
    const value = await revokedOnAnotherBranch();
    const after = start(105);
    await shared.set(sharedKey(didOf(1)), value, 60_000);
    expect(await codeOf(() => after.find(1))).toBe('key_unknown');
    expect(after.resolver.stats().outdated).toBe(1);
    // Without what the database says it would have been.
    const forgetful = newWorld({ shared, registry });
    await shared.set(sharedKey(didOf(1)), value, 60_000);
    expect(await forgetful.find(1)).toMatchObject({ tier: 'redis' });
  });

  it('is used when nothing was taken away since', async () => {
    await revokedOnAnotherBranch();
    registry.agents.set('1', [slot('k2', newIdentity())]);
    registry.blockNumber = 111;
    expect(await start(105).find(1, 'k2')).toMatchObject({ tier: 'chain' });
    await written(1);
    expect(await start(105).find(1, 'k2')).toMatchObject({ tier: 'redis' });
  });

  it('is not used from before a chain began anew while nobody watched', async () => {
    registry.agents.set('2', [slot('k1', newIdentity())]);
    registry.blockNumber = 400;
    await start(100).find(2);
    await written(2);
    registry.blockNumber = 10;
    registry.agents.set('2', []);
    const after = start(10);
    after.resolver.followedTo(CHAIN_ID, 500);
    after.resolver.chainChanged({ chainId: CHAIN_ID, kind: 'reset', blockNumber: 10 });
    expect(await codeOf(() => after.find(2))).toBe('key_unknown');
    await tombstones.written();
    expect(await codeOf(() => start(10).find(2))).toBe('key_unknown');
    expect(await database.tombstones.find(CHAIN_ID, didOf(77))).toEqual({ blockNumber: 501, blockHash: '' });
  });

  it('is not used when the database cannot be asked: the chain is, or nobody', async () => {
    registry.agents.set('1', [slot('k1', newIdentity())]);
    await start(100).find(1);
    await written(1);
    await tombstones.close();
    await database.close();
    expect(await start(100).find(1)).toMatchObject({ tier: 'chain' });
    registry.unreachable = true;
    expect(await codeOf(() => start(100).find(1))).toBe('did_unresolvable');
    database = await openStore(folder);
  });

  it('outlives a new agent and a key that now counts, which take nothing away', async () => {
    const world = start(100);
    const at = { chainId: CHAIN_ID, did: didOf(1), blockNumber: 120, blockHash: '0xaa' };
    world.resolver.chainChanged({ ...at, kind: 'registered' });
    world.resolver.chainChanged({ ...at, kind: 'key', safe: true });
    await tombstones.written();
    expect(await database.tombstones.find(CHAIN_ID, didOf(1))).toBeNull();
    world.resolver.chainChanged({ ...at, kind: 'transfer', blockNumber: 130 });
    await tombstones.written();
    expect(await database.tombstones.find(CHAIN_ID, didOf(1))).toEqual({
      blockNumber: 130,
      blockHash: '0xaa',
    });
  });
});

const row = (agentId: number, blockNumber: number): TombstoneRow => ({
  chainId: 1,
  did: didOf(agentId),
  blockNumber,
  blockHash: '0xaa',
});

it('what cannot be written is said once, kept, and written later', async () => {
  const warnings: string[] = [];
  let away = true;
  const rows: TombstoneRows = {
    ...database.tombstones,
    note: (noted, atMs) =>
      away ? Promise.reject(new Error('no room')) : database.tombstones.note(noted, atMs),
  };
  const log = { ...QUIET, warn: (_fields: object, message: string) => void warnings.push(message) };
  const writer = openTombstones({ rows, log, now: Date.now });
  writer.note(row(1, 10));
  // The checkpoint waits for it, and so is not ahead of what would be forgotten.
  await expect(writer.written()).rejects.toThrow(/could not be written/);
  writer.note(row(1, 12));
  writer.note(row(1, 11));
  await expect(writer.written()).rejects.toThrow(/could not be written/);
  expect(warnings).toHaveLength(1);
  away = false;
  await until(async () => (await database.tombstones.find(1, didOf(1))) !== null, 'it is tried again');
  expect(await database.tombstones.find(1, didOf(1))).toEqual({ blockNumber: 12, blockHash: '0xaa' });
  await writer.close();
});

it('more than can wait is written as a change of the whole chain', async () => {
  for (let agentId = 0; agentId < 5_000; agentId += 1) tombstones.note(row(agentId, agentId + 1));
  await tombstones.written();
  expect(await database.tombstones.find(1, didOf(3))).toEqual({ blockNumber: 5_000, blockHash: '' });
  expect(await database.tombstones.find(1, didOf(999_999))).toEqual({ blockNumber: 5_000, blockHash: '' });
  expect(await database.tombstones.find(2, didOf(3))).toBeNull();
});
