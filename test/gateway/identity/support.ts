/** Identity with a real resolver and signatures, and ports that note what they are asked. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  type Claimant,
  type Identified,
  type IdentityPorts,
  type IdentitySettings,
  identify,
  toRefusal,
} from '../../../src/gateway/identity/identify.ts';
import { Refused } from '../../../src/gateway/refusal.ts';
import type { NonceOutcome } from '../../../src/store/nonces.ts';
import { createDenyList } from '../../../src/trust/did/deny-list.ts';
import { createResolver } from '../../../src/trust/did/resolver.ts';
import { DEFAULT_PROFILES } from '../../../src/trust/profiles/profiles.ts';
import { requestView } from '../../../src/trust/wire/message.ts';
import { type Caller, newCaller, type SigningChoices, signed } from '../../e2e/support/callers.ts';

const ORIGIN = 'https://gateway.example';
export const BODY = Buffer.from('{"pay":1}');
export const alice = newCaller();

export interface Bench {
  readonly settings: IdentitySettings;
  readonly ports: IdentityPorts;
  /** What was asked, in order: `find`, `verified`, `body`, `reserve`, `stands`. */
  readonly asked: string[];
  /** Milliseconds since the epoch. */
  nowMs: number;
  outcome: NonceOutcome | Promise<NonceOutcome>;
  admits: boolean;
  stands: boolean;
  predates: boolean;
  marks: boolean;
}

export function openBench(): Bench {
  const asked: string[] = [];
  let nowMs = Date.now();
  const resolver = createResolver({
    fetcher: null,
    denied: createDenyList(Date.now),
    chain: null,
    chains: [],
    shared: null,
    sharedSecret: randomBytes(32),
    now: () => nowMs,
    monotonicNow: () => performance.now(),
    log: { info: () => undefined, warn: () => undefined, error: () => undefined } as never,
  });
  const bench: Bench = {
    asked,
    get nowMs() {
      return nowMs;
    },
    set nowMs(to) {
      nowMs = to;
    },
    outcome: 'reserved',
    admits: true,
    stands: true,
    predates: false,
    marks: true,
    settings: {
      maxAgeSeconds: 60,
      skewSeconds: 5,
      body: { limitBytes: 1_000, idleTimeoutMs: 100, totalTimeoutMs: 250 },
      budget: { totalBytes: 2_000, heldBytes: 0 },
    },
    ports: {
      now: () => nowMs,
      keys: {
        find(keyId, options) {
          asked.push('find');
          return resolver.find(keyId, options);
        },
        admit: (key) => bench.admits && resolver.admit(key),
        stands(key) {
          asked.push('stands');
          return bench.stands && resolver.stands(key);
        },
      },
      nonces: {
        mayPredateMemory: () => bench.predates,
        reserve() {
          asked.push('reserve');
          return bench.outcome;
        },
        noteCreated(): boolean {
          asked.push('mark');
          return bench.marks;
        },
      },
    },
  };
  return bench;
}

export interface Asking extends SigningChoices {
  readonly method?: string;
  readonly by?: Pick<Caller, 'signer'>;
  readonly signedBody?: Buffer;
  /** What is sent; a stream is the test's to feed. */
  readonly body?: Buffer | Readable;
  readonly streamed?: boolean;
  readonly nonceDownPolicy?: Claimant['nonceDownPolicy'];
  readonly fields?: (
    fields: readonly (readonly [string, string])[],
  ) => readonly (readonly [string, string])[];
}

export interface Outcome {
  readonly identified: Identified | null;
  /** The refusal's code, or empty. */
  readonly code: string;
}

/** Asks identity about one request. @throws what is no refusal */
export async function ask(bench: Bench, asking: Asking = {}): Promise<Outcome> {
  const { body, signedBody = Buffer.isBuffer(body) ? body : undefined, by = alice } = asking;
  const method = asking.method ?? (body === undefined ? 'GET' : 'POST');
  const call = { method, target: '/agents/echo/', ...(signedBody === undefined ? {} : { body: signedBody }) };
  const offset = Math.floor(bench.nowMs / 1_000) - Math.floor(Date.now() / 1_000);
  const { headers = [] } = signed(by, ORIGIN, call, {
    ...asking,
    createdIn: (asking.createdIn ?? 0) + offset,
  });
  const rawHeaders = ['Host', 'gateway.example', ...(asking.fields?.(headers) ?? headers).flat()];
  const claimant: Claimant = {
    view: requestView({
      method,
      scheme: 'https',
      authority: 'gateway.example',
      target: call.target,
      rawHeaders,
    }),
    source: body === undefined ? null : Buffer.isBuffer(body) ? Readable.from([body]) : body,
    declaredBytes: Buffer.isBuffer(body) ? body.length : null,
    streamed: asking.streamed ?? false,
    nonceDownPolicy: asking.nonceDownPolicy ?? 'refuse_unsafe',
    profiles: DEFAULT_PROFILES,
    onChecked: () => bench.asked.push('checked'),
    onIdentified: () => bench.asked.push('verified'),
  };
  try {
    return { identified: await identify(claimant, bench.settings, bench.ports), code: '' };
  } catch (error) {
    const refusal = toRefusal(error);
    if (!(refusal instanceof Refused)) throw error;
    return { identified: null, code: refusal.kind.code };
  }
}
