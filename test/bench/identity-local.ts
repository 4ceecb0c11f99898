/** What identity costs within one process: no sockets, no chain. */
import { createPublicKey, randomBytes } from 'node:crypto';
import { type Claimant, type IdentityPorts, identify } from '../../src/gateway/identity/identify.ts';
import { identitySettings } from '../../src/gateway/identity/ports.ts';
import { createTable } from '../../src/store/memory/table.ts';
import { createMemoryNonces } from '../../src/store/nonces.ts';
import { createDenyList } from '../../src/trust/did/deny-list.ts';
import { parseKeyId } from '../../src/trust/did/did-url.ts';
import { frequencyHash } from '../../src/trust/did/frequency.ts';
import { createKeyMemory } from '../../src/trust/did/key-memory.ts';
import { createResolver, type ResolvedKey } from '../../src/trust/did/resolver.ts';
import { importPublicKey } from '../../src/trust/keys/import.ts';
import { DEFAULT_PROFILES } from '../../src/trust/profiles/profiles.ts';
import { detached } from '../../src/trust/wire/bytes.ts';
import { type RequestView, requestView } from '../../src/trust/wire/message.ts';
import { signaturesFor } from '../../src/trust/wire/signature-input.ts';
import { signatureBase } from '../../src/trust/wire/verify.ts';
import { type Caller, newCaller, signed } from '../e2e/support/callers.ts';
import { didOf, keyIdOf, newIdentity, newWorld, slot } from '../trust/did/world.ts';
import { bestStatic, mulberry32, zipf } from '../trust/did/zipf.ts';
import { CORPUS, read } from '../trust/wire/support/hostile-fields.ts';
import { median } from './figures.ts';

const PASSES = 5;
const VERIFICATIONS = 4_000;
/** Both sides take turns, so that what else the machine does meets both. */
const SLICE = 500;
/** Long enough for every function on the way to be compiled as in a gateway that has run for a while. */
const WARM_UP_PASSES = 10;

function spent(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function localPorts(): IdentityPorts {
  const startedAtMs = Date.now() - 60_000;
  const monotonicNow = (): number => Number(process.hrtime.bigint()) / 1e6;
  const log = { warn: () => undefined };
  const table = createTable({ seed: randomBytes(32), startedAtMs, monotonicMs: monotonicNow() });
  const nonces = createMemoryNonces(table, { monotonicNow, log });
  const resolver = createResolver({
    chain: null,
    chains: [],
    fetcher: null,
    shared: null,
    sharedSecret: randomBytes(32),
    denied: createDenyList(Date.now),
    now: Date.now,
    monotonicNow: () => performance.now(),
    log,
  });
  return {
    now: Date.now,
    keys: resolver,
    nonces: {
      mayPredateMemory: (createdSeconds) => createdSeconds * 1_000 < nonces.remembersSinceMs,
      noteCreated: () => true,
      reserve: (use, nowMs) => nonces.reserve(use, nowMs),
    },
  };
}

const TARGET = '/agents/verified/v1/answer?q=1';

/** A request as its parser hands it over, and its signature as the primitive takes it. */
interface Sample {
  readonly rawHeaders: readonly string[];
  readonly base: Uint8Array;
  readonly signature: Uint8Array;
}

const viewOf = (rawHeaders: readonly string[]): RequestView =>
  requestView({ method: 'GET', scheme: 'https', authority: 'gateway.example', target: TARGET, rawHeaders });

/** Requests that cover five components, each with a nonce of its own. */
function samples(caller: Caller, count: number): Sample[] {
  const headers = [
    ['accept', 'application/json'],
    ['user-agent', 'sage-bench/1'],
    ['x-tenant', 'bench'],
  ] as const;
  return Array.from({ length: count }, () => {
    const call = signed(
      caller,
      'https://gateway.example',
      { method: 'GET', target: TARGET, headers },
      { cover: ['accept', 'user-agent', 'x-tenant'] },
    );
    // In one piece each, as from a socket, and not as the halves they were put together from.
    const rawHeaders = ['Host', 'gateway.example', ...(call.headers ?? []).flat()].map(detached);
    const view = viewOf(rawHeaders);
    const [signature] = signaturesFor(view, () => true) ?? [];
    if (signature === undefined) throw new Error('the sample has no signature');
    return { rawHeaders, base: signatureBase(signature, view), signature: signature.signature };
  });
}

/**
 * All of identity for one request (view, wire, key in memory, verification, nonce) over the verification of the same
 * signature alone; and over that of one signature again and again, at which the primitive is quicker than it ever is.
 */
export async function measureVerified(): Promise<{ ratio: number; overOneSignature: number }> {
  const ports = localPorts();
  const settings = identitySettings({
    signatureMaxAgeSeconds: 60,
    clockSkewSeconds: 5,
    bodyBufferBytes: 1,
    bodyBufferTotalBytes: 1,
    bodyIdleTimeoutMs: 1,
  });
  const claimant: Omit<Claimant, 'view'> = {
    source: null,
    declaredBytes: null,
    streamed: false,
    profiles: DEFAULT_PROFILES,
    nonceDownPolicy: 'refuse',
    onChecked: () => undefined,
    onIdentified: () => undefined,
  };
  const identifyAll = async (requests: readonly Sample[]): Promise<void> => {
    for (const { rawHeaders } of requests) {
      const identified = identify({ ...claimant, view: viewOf(rawHeaders) }, settings, ports);
      // Only the first key has to be imported, for which nobody waits here.
      if (identified instanceof Promise) await identified;
    }
  };
  const caller = newCaller();
  const key = importPublicKey(createPublicKey(caller.privateKey));
  const verifyAll = (requests: readonly Sample[]): void => {
    for (const { base, signature } of requests)
      if (key.verify(base, signature) !== true) throw new Error('the raw verification failed');
  };
  const ratios: number[] = [];
  const overOne: number[] = [];
  for (let pass = 0; pass < WARM_UP_PASSES + PASSES; pass += 1) {
    const requests = samples(caller, VERIFICATIONS);
    let [rawUs, oneUs, identifiedUs] = [0, 0, 0];
    for (let at = 0; at < requests.length; at += SLICE) {
      const slice = requests.slice(at, at + SLICE);
      let before = process.cpuUsage();
      verifyAll(slice);
      rawUs += spent(before);
      before = process.cpuUsage();
      verifyAll(slice.map(() => requests[0] as Sample));
      oneUs += spent(before);
      before = process.cpuUsage();
      await identifyAll(slice);
      identifiedUs += spent(before);
    }
    if (pass < WARM_UP_PASSES) continue;
    ratios.push(identifiedUs / rawUs);
    overOne.push(identifiedUs / oneUs);
  }
  return { ratio: median(ratios), overOneSignature: median(overOne) };
}

/** The worst of the corpus, refusal included. */
export function measureHostile(): { name: string; us: number } {
  const READS = 400;
  let worst = { name: '', us: 0 };
  for (const [name, parts] of Object.entries(CORPUS)) {
    for (let at = 0; at < READS; at += 1) read(parts);
    const runs = Array.from({ length: PASSES }, () => {
      const before = process.cpuUsage();
      for (let at = 0; at < READS; at += 1) read(parts);
      return spent(before) / READS;
    });
    const us = median(runs);
    if (us > worst.us) worst = { name, us };
  }
  return worst;
}

/** A key id as the wire hands it over, to the key that memory holds and its admission. */
export async function measureDidMemory(): Promise<number> {
  const ROUNDS = 200_000;
  const AGENTS = 512;
  const world = newWorld();
  for (let agent = 0; agent < AGENTS; agent += 1) {
    world.registry.agents.set(`${agent}`, [slot('k1', newIdentity())]);
    world.resolver.admit(await world.find(agent));
  }
  const texts = Array.from({ length: AGENTS }, (_, agent) => keyIdOf(agent).text);
  const parsed = texts.map((text) => parseKeyId(Buffer.from(text).toString('latin1')));
  const options = { safeMethod: false };
  const round = (): number => {
    const before = process.cpuUsage();
    for (let at = 0; at < ROUNDS; at += 1) {
      const found = world.resolver.find(parsed[at % AGENTS] as (typeof parsed)[0], options);
      if (found instanceof Promise || !world.resolver.admit(found)) throw new Error('must be at hand');
    }
    return spent(before) / ROUNDS;
  };
  round();
  return median(Array.from({ length: PASSES }, round));
}

/** Hits over those of the best static choice. @param attack names asked for and never admitted, for each honest request */
export async function measureHitRatio(attack: number): Promise<number> {
  const AGENTS = 100_000;
  const ENTRIES = 10_000;
  const WARM_UP = 600_000;
  const REQUESTS = 1_000_000;
  const world = newWorld();
  world.registry.agents.set('0', [slot('k1', newIdentity())]);
  const template = await world.find(0);
  const keys = Array.from({ length: AGENTS }, (_, at): ResolvedKey => {
    const did = didOf(at);
    return { ...template, did, hash: frequencyHash(did) };
  });
  const memory = createKeyMemory(ENTRIES);
  const next = zipf(AGENTS, 1);
  const random = mulberry32(2);
  let hits = 0;
  for (let at = 0; at < REQUESTS; at += 1) {
    const asked = keys[next()] as ResolvedKey;
    const found = memory.find(asked.did, 'k1', 0);
    if (found !== undefined && at >= WARM_UP) hits += 1;
    memory.admit(found ?? asked, 0);
    for (let bad = 0; bad < attack; bad += 1)
      memory.find((keys[Math.floor(random() * AGENTS)] as ResolvedKey).did, 'k1', 0);
  }
  return hits / (REQUESTS - WARM_UP) / bestStatic(ENTRIES, AGENTS);
}
