/**
 * From what a contract's events name to the DIDs concerned. Registries of agents and ERC-1056 identities name their DIDs
 * themselves; a did:ethr that is a public key, and a did:sage of the first generations, are only hashes in the events, so
 * they are noted before they are read.
 */
import { LRUCache } from 'lru-cache';
import { agentDid, ethrDid } from './did/did-url.ts';
import type { ContractKind } from './did/ports.ts';

/** DIDs that only their hashes name in events; the least recently read is purged when there are more. */
const NAMED_MAX = 20_000;
/** Subjects of which it is remembered that an event touched them lately. */
const TOUCHED_MAX = 16_384;

/** One that an event speaks of: the word that stands for it there. */
export interface Touched {
  readonly registry: string;
  readonly kind: ContractKind;
  /** The agent id, identity or hash in the event's topics. */
  readonly word: bigint;
}

export interface ChainNames {
  /** The DIDs that an event concerns, as far as this node has read them. */
  touched(at: Touched): readonly string[];
  /** Notes that events may call `did` by this word. */
  name(registry: string, word: bigint, did: string): void;
  /** A count of what was touched, to be compared after a reading. */
  readonly moment: number;
  /** Whether an event spoke of the word since then, or may have. */
  touchedSince(registry: string, word: bigint, moment: number): boolean;
}

/** @param onForgotten called for a DID of which no event will be heard any more */
export function createChainNames(chainId: number, onForgotten: (did: string) => void): ChainNames {
  const named = new LRUCache<string, string>({
    max: NAMED_MAX,
    dispose: (did, _key, reason) => {
      if (reason === 'evict') onForgotten(did);
    },
  });
  let moment = 0;
  let forgottenMoment = 0;
  const touches = new LRUCache<string, number>({
    max: TOUCHED_MAX,
    dispose: (at, _key, reason) => {
      if (reason === 'evict') forgottenMoment = Math.max(forgottenMoment, at);
    },
  });
  const keyOf = (registry: string, word: bigint): string => `${registry} ${word.toString(16)}`;
  return {
    touched({ registry, kind, word }) {
      moment += 1;
      const key = keyOf(registry, word);
      touches.set(key, moment);
      if (kind === 'erc8004') return [agentDid(chainId, registry, word)];
      const noted = named.get(key);
      const known = noted === undefined ? [] : [noted];
      if (kind !== 'ethr') return known;
      return [ethrDid(chainId, `0x${word.toString(16).padStart(40, '0')}`), ...known];
    },
    name(registry, word, did) {
      named.set(keyOf(registry, word), did);
    },
    get moment() {
      return moment;
    },
    touchedSince(registry, word, since) {
      return forgottenMoment > since || (touches.get(keyOf(registry, word)) ?? 0) > since;
    },
  };
}
