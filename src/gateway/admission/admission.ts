/**
 * Who may go on: first the source address, before anything costly is done for it, then the caller whom a
 * signature has proven. Plain functions, because a Fastify hook for each step would cost more than the steps.
 * A claimed DID is never counted: whoever could spend another's budget by naming him would silence him.
 */
import { LRUCache } from 'lru-cache';
import { type AddressKey, addressKey } from '../../store/address.ts';
import type { Blocks, FailureRule } from '../../store/blocks.ts';
import type { LimitOutcome, LimitRule } from '../../store/gcra.ts';
import type { LimitStore } from '../../store/limits.ts';
import { UNLIMITED, Verdict } from './verdict.ts';

export type { Verdict };

export interface AdmissionLimits {
  /** Absent: 600 a minute, bursts of 50. Always counted by each node for itself, before identity is known. */
  readonly perAddress?: LimitRule | undefined;
  /** Absent: callers are not limited. Counted by all nodes together when there is a Redis. */
  readonly perDid?: LimitRule | undefined;
  /** Absent: failures block nobody. */
  readonly blockOnSignatureFailure?: FailureRule | undefined;
}

export interface Admission {
  /** Before identity: the block list, then the address's budget. Never a promise unless its rule says `shared`. */
  admitAddress(address: string, nowMs: number): Verdict | Promise<Verdict>;
  /**
   * Before the key of a caller is looked up who is not in memory: DIDs cost nothing to make, and each costs a look-up, a
   * verification and a budget of its own. Counted by each node for itself.
   */
  admitNewCaller(address: string, nowMs: number): Verdict;
  /** After identity, with the proven DID. */
  admitCaller(did: string, nowMs: number): Verdict | Promise<Verdict>;
  /** A signature or a digest did not verify: counts towards a block of the address, never of the DID. */
  noteSignatureFailure(address: string, nowMs: number): void;
  /** Takes effect with the next request; buckets keep what they hold. Called at start and on policy reloads. */
  setLimits(limits: AdmissionLimits): void;
}

/**
 * A verification costs 40 to 70 us, so one address may ask for 0.1 % of a core for long and for a burst of 50:
 * an agent is far below it, and a flood from one address is refused for the price of a look-up.
 */
const PER_ADDRESS_DEFAULT: LimitRule = {
  ratePerPeriod: 600,
  periodMs: 60_000,
  burst: 50,
  scope: 'local',
};
/** Addresses whose normal form is remembered; parsing IPv6 again costs 1 us, so a flood of them loses little. */
const ADDRESSES_MAX = 16_384;
/** The longest text of an address, an IPv4-mapped one with a zone, is under 64; a longer one is not kept. */
const ADDRESS_CHARS_MAX = 64;

const ADDRESS_POLICY = 'per-address';
const CALLER_POLICY = 'per-did';
const NEW_CALLERS_POLICY = 'new-callers';

interface Source {
  readonly key: AddressKey;
  readonly bucket: string;
}

/** @param newCallersPerMinute of one address, and at once */
export function createAdmission(limits: LimitStore, blocks: Blocks, newCallersPerMinute: number): Admission {
  const perNewCaller: LimitRule = {
    ratePerPeriod: newCallersPerMinute,
    periodMs: 60_000,
    burst: newCallersPerMinute,
    scope: 'local',
  };
  const sources = new LRUCache<string, Source>({ max: ADDRESSES_MAX });
  let perAddress = PER_ADDRESS_DEFAULT;
  let perDid: LimitRule | undefined;
  let onFailure: FailureRule | undefined;

  const sourceOf = (address: string): Source => {
    const known = sources.get(address);
    if (known !== undefined) return known;
    const key = addressKey(address);
    const source = { key, bucket: `ip:${key}` };
    if (address.length <= ADDRESS_CHARS_MAX) sources.set(address, source);
    return source;
  };

  return {
    admitAddress(address, nowMs) {
      const source = sourceOf(address);
      const blockedMs = blocks.isBlocked(source.key, nowMs);
      if (blockedMs > 0) return new Verdict('address_blocked', ADDRESS_POLICY, null, null, blockedMs);
      const rule = perAddress;
      const outcome = limits.take(source.bucket, rule, nowMs);
      if (outcome instanceof Promise) return outcome.then((late) => addressVerdict(rule, late));
      return addressVerdict(rule, outcome);
    },
    admitNewCaller(address, nowMs) {
      const outcome = limits.take(`new:${sourceOf(address).key}`, perNewCaller, nowMs);
      // A rule that is counted here is answered here.
      if (outcome instanceof Promise) throw new TypeError('a local limit was asked of others');
      const code = outcome.allowed ? '' : outcome.full ? 'limits_unavailable' : 'new_callers_limited';
      return new Verdict(code, NEW_CALLERS_POLICY, perNewCaller, outcome, outcome.retryAfterMs);
    },
    admitCaller(did, nowMs) {
      const rule = perDid;
      if (rule === undefined) return UNLIMITED;
      const outcome = limits.take(`did:${did}`, rule, nowMs);
      if (outcome instanceof Promise) return outcome.then((late) => callerVerdict(rule, late));
      return callerVerdict(rule, outcome);
    },
    noteSignatureFailure(address, nowMs) {
      if (onFailure !== undefined) blocks.noteFailure(sourceOf(address).key, onFailure, nowMs);
    },
    setLimits(next) {
      perAddress =
        next.perAddress === undefined ? PER_ADDRESS_DEFAULT : { scope: 'local', ...next.perAddress };
      perDid = next.perDid;
      onFailure = next.blockOnSignatureFailure;
    },
  };
}

function addressVerdict(rule: LimitRule, outcome: LimitOutcome): Verdict {
  const code = outcome.allowed ? '' : outcome.full ? 'limits_unavailable' : 'address_rate_limited';
  return new Verdict(code, ADDRESS_POLICY, rule, outcome, outcome.retryAfterMs);
}

function callerVerdict(rule: LimitRule, outcome: LimitOutcome): Verdict {
  const code = outcome.allowed ? '' : outcome.full ? 'limits_unavailable' : 'caller_rate_limited';
  return new Verdict(code, CALLER_POLICY, rule, outcome, outcome.retryAfterMs);
}
