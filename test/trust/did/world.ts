/** A registry, a clock and a resolver over them, in which every moment can be held still. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { SharedKeyCache } from '../../../src/store/redis/key-cache.ts';
import { createDenyList, type DenyList } from '../../../src/trust/did/deny-list.ts';
import { type ParsedKeyId, parseKeyId } from '../../../src/trust/did/did-url.ts';
import { DidError } from '../../../src/trust/did/errors.ts';
import type { ChainKey, ChainKeys, ChainSubject } from '../../../src/trust/did/ports.ts';
import {
  createResolver,
  type ResolvedKey,
  type Resolver,
  type ResolverBounds,
  type ResolverOptions,
} from '../../../src/trust/did/resolver.ts';

export const CHAIN_ID = 31337;
export const REGISTRY = '0x5fbdb2315678afecb367f032d93f642f64180aa3';
export const SECRET = Buffer.alloc(32, 7);

export interface Identity {
  readonly multikey: Uint8Array;
  readonly privateKey: KeyObject;
}

export function newIdentity(): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const x = publicKey.export({ format: 'jwk' }).x ?? '';
  return { multikey: Buffer.concat([Uint8Array.of(0xed, 0x01), Buffer.from(x, 'base64url')]), privateKey };
}

/** Whether `found` verifies what `identity` signs. */
export function isKeyOf(found: ResolvedKey, identity: Identity): boolean | Promise<boolean> {
  const data = Buffer.from('who goes there');
  return found.key.verify(data, sign(null, data, identity.privateKey));
}

export function slot(fragment: string, identity: Identity, more: Partial<ChainKey> = {}): ChainKey {
  return {
    fragment,
    flags: 1,
    notAfter: 0,
    material: { kind: 'multikey', bytes: identity.multikey },
    setAtBlock: 1,
    ...more,
  };
}

export function didOf(agentId: number | bigint | string): string {
  return `did:sage:eip155:${CHAIN_ID}:${REGISTRY}:${agentId}`;
}

export function keyIdOf(agentId: number | bigint | string, fragment: string | null = 'k1'): ParsedKeyId {
  return parseKeyId(fragment === null ? didOf(agentId) : `${didOf(agentId)}#${fragment}`);
}

interface Hold {
  readonly promise: Promise<void>;
  release(): void;
}

/** The registry as the port shows it: it answers with what stood there when the reading began. */
export class Registry {
  readonly agents = new Map<string, readonly ChainKey[]>();
  blockNumber = 100;
  reads = 0;
  unreachable = false;
  #hold: Hold | null = null;

  /** Answers wait from now on, until the release of what is returned. */
  hold(): () => void {
    let release: () => void = () => undefined;
    const promise = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#hold = { promise, release };
    return () => {
      this.#hold = null;
      release();
    };
  }

  async readKeys({ id }: ChainSubject): Promise<ChainKeys> {
    this.reads += 1;
    if (this.unreachable) throw new Error('connection refused');
    const keys = this.agents.get(id);
    const { blockNumber } = this;
    await this.#hold?.promise;
    return {
      exists: keys !== undefined,
      keys: keys ?? [],
      blockNumber,
      blockHash: `0x${blockNumber.toString(16).padStart(64, '0')}`,
    };
  }
}

export interface World {
  readonly registry: Registry;
  readonly resolver: Resolver;
  readonly warnings: string[];
  readonly denied: DenyList;
  nowMs: number;
  /** Finds, whether at once or later. */
  find(agentId: number | string, fragment?: string | null, safeMethod?: boolean): Promise<ResolvedKey>;
  /** Changes an agent in a block of its own, and tells the resolver as the watcher would. */
  change(agentId: number, keys: readonly ChainKey[] | null): void;
}

export interface WorldOptions {
  readonly bounds?: Partial<ResolverBounds>;
  readonly shared?: SharedKeyCache | null;
  readonly registry?: Registry;
  readonly tombstones?: ResolverOptions['tombstones'];
  /** False: nobody watches the chain. */
  readonly watched?: boolean;
}

export function newWorld({
  bounds,
  shared = null,
  registry = new Registry(),
  tombstones,
  watched = true,
}: WorldOptions = {}): World {
  const warnings: string[] = [];
  const world = { registry, warnings, nowMs: 1_800_000_000_000 };
  const denied = createDenyList(() => world.nowMs);
  const resolver = createResolver({
    chain: registry,
    fetcher: null,
    chains: [{ chainId: CHAIN_ID, contracts: [{ kind: 'erc8004', address: REGISTRY }] }],
    shared,
    sharedSecret: SECRET,
    tombstones,
    denied,
    now: () => world.nowMs,
    monotonicNow: () => performance.now(),
    log: { warn: (_fields, message) => warnings.push(message) },
    ...(bounds === undefined ? {} : { bounds }),
  });
  if (watched) {
    resolver.setStaleness(CHAIN_ID, { lagMs: 0, connected: true });
    resolver.watchedFrom(CHAIN_ID, 0);
  }
  return Object.assign(world, {
    resolver,
    denied,
    async find(agentId: number | string, fragment: string | null = 'k1', safeMethod = false) {
      return await resolver.find(keyIdOf(agentId, fragment), { safeMethod });
    },
    change(agentId: number, keys: readonly ChainKey[] | null) {
      registry.blockNumber += 1;
      if (keys === null) registry.agents.delete(`${agentId}`);
      else registry.agents.set(`${agentId}`, keys);
      const { blockNumber } = registry;
      resolver.chainChanged({
        chainId: CHAIN_ID,
        did: didOf(agentId),
        kind: 'key',
        blockNumber,
        blockHash: `0x${blockNumber.toString(16).padStart(64, '0')}`,
      });
    },
  });
}

/** Lets everything run that is ready to run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The code of the `DidError` that `work` ends in. */
export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return error instanceof DidError ? error.code : String(error);
  }
  return 'no error';
}
