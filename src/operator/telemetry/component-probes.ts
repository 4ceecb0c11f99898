/** Probes of what the gateway leans on. None is critical: without Redis or a chain it goes on with what it knows. */

import type { DatabaseStatus } from '../../store/database.ts';
import type { RedisStatus } from '../../store/redis/connection.ts';
import type { NodeRecord } from '../../trust/chain/agreement.ts';
import type { WatcherState } from '../../trust/chain/watcher.ts';
import { ed25519Engine } from '../../trust/keys/ed25519.ts';
import { secp256k1Engine } from '../../trust/keys/secp256k1.ts';
import type { Probe, ProbeResult } from './health.ts';

const INTERVAL_MS = 1_000;
const DEADLINE_MS = 500;
/** A head this old means that revocations may be missed (see `did_stale`). */
const HEAD_AGE_WARN_MS = 5_000;
/** How long it is told that a node said what no other did. */
const DISAGREEMENT_WARN_MS = 3_600_000;
/** A round trip this slow costs every request that reserves a nonce. */
const REDIS_LATENCY_WARN_MS = 20;
/** Nobody's request waits for the database, but revocations and the decision log do. */
const DATABASE_LATENCY_WARN_MS = 250;
const DATABASE_WAITING_WARN = 64;
const COMMON = { critical: false, intervalMs: INTERVAL_MS, deadlineMs: DEADLINE_MS } as const;

interface WatchedChain {
  readonly chainId: number;
  readonly state: WatcherState;
  /** How long ago the watcher last knew itself level with the head; Infinity when it never did. */
  readonly ageMs: number;
  /** Where several nodes are named. */
  readonly nodes: readonly NodeRecord[];
}

export interface Components {
  readonly redis: { status(): RedisStatus } | null;
  readonly database: () => DatabaseStatus;
  readonly chains: () => readonly WatchedChain[];
  readonly policyRevision: () => string;
  /** Why the last change of a file was refused, or empty. */
  readonly lastFault: () => string;
}

/** @param now milliseconds since the epoch */
export function componentProbes(parts: Components, now: () => number): Probe[] {
  const { redis } = parts;
  return [
    configurationProbe(parts.policyRevision, parts.lastFault),
    engineProbe('ed25519', ed25519Engine),
    engineProbe('secp256k1', secp256k1Engine),
    databaseProbe(parts.database),
    ...(redis === null ? [] : [redisProbe(() => redis.status(), now)]),
    ...parts.chains().map(({ chainId }, at) => chainProbe(chainId, () => parts.chains()[at], now)),
  ];
}

/** What verifies signatures with keys of this kind: an addon, or OpenSSL where it does not load. */
function engineProbe(keys: string, engine: string): Probe {
  const check = (): ProbeResult => ({ status: 'pass', observedValue: engine });
  return { ...COMMON, name: `signatures:${keys}`, componentType: 'component', check };
}

/** The last poll's round trip. */
function databaseProbe(status: () => DatabaseStatus): Probe {
  const check = () => gradeDatabase(status());
  return { ...COMMON, name: 'database:latency', componentType: 'datastore', check };
}

function gradeDatabase(status: DatabaseStatus): ProbeResult {
  const { connected, writable, lastError, latencyMs, waiting } = status;
  if (!connected) return { status: 'fail', output: lastError || 'not connected' };
  const measured = { observedValue: Math.round(latencyMs * 100) / 100, observedUnit: 'ms' };
  if (!writable) return { status: 'fail', ...measured, output: lastError || 'takes no writes' };
  if (waiting > DATABASE_WAITING_WARN)
    return { status: 'warn', ...measured, output: `${waiting} calls wait for it` };
  return { status: latencyMs > DATABASE_LATENCY_WARN_MS ? 'warn' : 'pass', ...measured };
}

function gradeRedis(status: RedisStatus, nowMs: number): ProbeResult {
  if (!status.connected) return { status: 'fail', output: status.lastError || 'not connected' };
  const measured = { observedValue: Math.round(status.latencyMs * 100) / 100, observedUnit: 'ms' };
  if (status.nonceFault !== '') return { status: 'fail', ...measured, output: status.nonceFault };
  if (!status.listening)
    return { status: 'warn', ...measured, output: 'messages of other nodes do not arrive' };
  // Told for as long as the process runs: whoever looks later must still learn that callers were refused, and why.
  const forgot =
    status.forgotAtMs === 0
      ? {}
      : {
          output: `nonces were lost, noticed at ${iso(status.forgotAtMs)}; signatures made before ${iso(status.remembersSinceMs)} are refused`,
        };
  const slow = status.latencyMs > REDIS_LATENCY_WARN_MS;
  return { status: slow || status.remembersSinceMs > nowMs ? 'warn' : 'pass', ...measured, ...forgot };
}

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** The last heartbeat's round trip. */
function redisProbe(status: () => RedisStatus, now: () => number): Probe {
  return {
    ...COMMON,
    name: 'redis:latency',
    componentType: 'datastore',
    check: () => gradeRedis(status(), now()),
  };
}

function gradeChain(chain: WatchedChain | undefined, nowMs: number): ProbeResult {
  if (chain === undefined) return { status: 'fail', output: 'not watched' };
  const { state, ageMs, nodes } = chain;
  const seen = Number.isFinite(ageMs) ? { observedValue: ageMs, observedUnit: 'ms' } : {};
  if (!state.connected)
    return { status: 'fail', ...seen, output: state.lastError?.message ?? 'not connected yet' };
  if (ageMs > HEAD_AGE_WARN_MS)
    return { status: 'warn', ...seen, output: `${state.lagBlocks} blocks behind` };
  const alone = nodes.filter(({ disagreedAtMs }) => nowMs - disagreedAtMs < DISAGREEMENT_WARN_MS);
  if (alone.length === 0) return { status: 'pass', ...seen };
  const output = alone.map(({ node, disagreedAtMs }) => `${node} said otherwise at ${iso(disagreedAtMs)}`);
  return { status: 'warn', ...seen, output: output.join('; ') };
}

/** How long ago the watcher knew itself level with the head. @param now milliseconds since the epoch */
function chainProbe(chainId: number, chain: () => WatchedChain | undefined, now: () => number): Probe {
  return {
    ...COMMON,
    name: `chain-${chainId}:head-age`,
    componentType: 'datastore',
    check: () => gradeChain(chain(), now()),
  };
}

/** The revision that decides, and whether the last change of a file was refused. */
function configurationProbe(revision: () => string, lastFault: () => string): Probe {
  return {
    ...COMMON,
    name: 'policy:revision',
    componentType: 'component',
    check() {
      const fault = lastFault();
      const seen = { observedValue: revision() };
      return fault === '' ? { status: 'pass', ...seen } : { status: 'warn', ...seen, output: fault };
    },
  };
}
