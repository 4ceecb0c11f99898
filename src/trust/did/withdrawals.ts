/**
 * The epoch guard. Every purge raises a counter; whatever was begun before a purge of its DID is known by the
 * counter it remembers, and counts for nothing: it is neither written back nor used, not even once.
 *
 * The purges are kept in a bounded map. When it is full the oldest is folded into a floor that stands for every
 * DID: forgetting can only refuse too much (a read is done again), never too little.
 */

import type { SubjectChange } from './ports.ts';

export interface ChangePoint {
  readonly kind: SubjectChange['kind'];
  readonly chainId: number;
  readonly blockNumber: number;
  /** Tells this change from others of the same DID, to know a message for one already heard. */
  readonly mark: string;
}

interface Withdrawal {
  readonly epoch: number;
  readonly chainId: number;
  /** An answer of the chain from before this block does not know of the change. */
  readonly chainFloor: number;
  /** The same for values in the shared tier, which may also come from a dropped branch of the chain. */
  readonly sharedFloor: number;
  readonly mark: string;
}

interface ChainFloor {
  /** This node has heard of every change after this block; null until its watcher says so. */
  watchedFrom: number | null;
  /** Highest block any answer or event told of. */
  headSeen: number;
  /** Where an earlier run had got to. */
  headBefore: number;
  /** The least that an answer of the chain must know: where the watch began, and floors of forgotten withdrawals. */
  chainFloor: number;
  /** Of forgotten withdrawals. */
  sharedFloor: number;
}

export class Withdrawals {
  readonly #capacity: number;
  readonly #byDid = new Map<string, Withdrawal>();
  readonly #chains = new Map<number, ChainFloor>();
  #epoch = 0;
  #floorEpoch = 0;

  /** `capacity`: purges remembered one by one. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The counter now; remember it when a read begins. */
  get epoch(): number {
    return this.#epoch;
  }

  get size(): number {
    return this.#byDid.size;
  }

  /** Withdraws one DID; `change` is null when no chain told of it. */
  withdraw(did: string, change: ChangePoint | null): void {
    this.#epoch += 1;
    const floors = this.#floorsOf(did, change);
    // Deleted first, so that the map's order is the order of the purges.
    this.#byDid.delete(did);
    if (this.#byDid.size >= this.#capacity) this.#forgetOldest();
    this.#byDid.set(did, { ...floors, epoch: this.#epoch });
  }

  /** Withdraws everything read so far, of every DID. */
  withdrawAll(): void {
    this.#epoch += 1;
    this.#floorEpoch = this.#epoch;
  }

  /** Withdraws everything, because any agent of the chain may have changed up to this block. */
  withdrawChain(chainId: number, blockNumber: number): void {
    const chain = this.#chainOf(chainId);
    // The first thing heard of a chain is where its watcher begins. Later it is a branch dropped deeper than anyone
    // remembers, and block numbers of two branches do not compare: only higher ones than any seen are from the new.
    const floor = Math.max(blockNumber, chain.headSeen + 1, chain.headBefore + 1);
    chain.sharedFloor = Math.max(chain.sharedFloor, floor);
    chain.headSeen = Math.max(chain.headSeen, blockNumber);
    // A node behind that block would give back what was taken away in it, and no event would tell. Set, not raised: a
    // chain that began anew counts from zero, and what is known of its old blocks would shut it out for as long.
    chain.chainFloor = blockNumber;
    for (const [did, last] of this.#byDid)
      if (last.chainId === chainId) this.#byDid.set(did, { ...last, chainFloor: 0 });
    this.withdrawAll();
  }

  /** True when `did` was purged after `epoch`. */
  withdrawnSince(did: string, epoch: number): boolean {
    if (epoch === this.#epoch) return false;
    if (epoch < this.#floorEpoch) return true;
    const last = this.#byDid.get(did);
    return last !== undefined && last.epoch > epoch;
  }

  /** True when the last purge of `did` was for this very change. */
  alreadyHeard(did: string, mark: string): boolean {
    return this.#byDid.get(did)?.mark === mark;
  }

  /** From which block on an answer of the chain about `did` is recent enough. */
  chainFloor(did: string, chainId: number): number {
    return Math.max(this.#byDid.get(did)?.chainFloor ?? 0, this.#chainOf(chainId).chainFloor);
  }

  /** The same for the shared tier; Infinity while it may not be used at all. */
  sharedFloor(did: string, chainId: number): number {
    const chain = this.#chainOf(chainId);
    if (chain.watchedFrom === null) return Number.POSITIVE_INFINITY;
    return Math.max(this.#byDid.get(did)?.sharedFloor ?? 0, chain.sharedFloor, chain.watchedFrom);
  }

  /** From which block on a shared value of the DID knows of the last change told of it; 0 when none was. */
  ownFloor(did: string): number {
    return this.#byDid.get(did)?.sharedFloor ?? 0;
  }

  /** The same for what any DID of the chain may have changed in. */
  wholeFloor(chainId: number): number {
    return this.#chainOf(chainId).sharedFloor;
  }

  sawBlock(chainId: number, blockNumber: number): void {
    const chain = this.#chainOf(chainId);
    chain.headSeen = Math.max(chain.headSeen, blockNumber);
  }

  followedTo(chainId: number, blockNumber: number): void {
    this.#chainOf(chainId).headBefore = blockNumber;
  }

  /** Withdraws what was read before, too: what changed up to this block, no event will tell. */
  watchedFrom(chainId: number, blockNumber: number): void {
    const chain = this.#chainOf(chainId);
    chain.watchedFrom = Math.max(chain.watchedFrom ?? 0, blockNumber);
    chain.chainFloor = blockNumber;
    this.withdrawAll();
  }

  #floorsOf(did: string, change: ChangePoint | null): Omit<Withdrawal, 'epoch'> {
    const before = this.#byDid.get(did) ?? NEVER;
    // Nothing new is known of any block: the floors stay, and whatever message comes next is news.
    if (change === null) return { ...before, mark: '' };
    const chain = this.#chainOf(change.chainId);
    const { chainId, mark, blockNumber } = change;
    // Not above what was seen: the change may be on another branch than what was read at these heights.
    const isLate = blockNumber <= chain.headSeen;
    const seen = isLate ? chain.headSeen + 1 : blockNumber;
    chain.headSeen = Math.max(chain.headSeen, blockNumber);
    if (change.kind === 'reorg') {
      // Block numbers of the dropped branch compare with nothing. The chain's next answer comes from the new one;
      // a shared value is only known to once it is from a block that neither branch had when we heard.
      return { chainId, mark, chainFloor: 0, sharedFloor: chain.headSeen + 1 };
    }
    return {
      chainId,
      mark,
      chainFloor: Math.max(blockNumber, before.chainFloor),
      sharedFloor: Math.max(seen, before.sharedFloor),
    };
  }

  #forgetOldest(): void {
    for (const [did, oldest] of this.#byDid) {
      this.#byDid.delete(did);
      this.#floorEpoch = Math.max(this.#floorEpoch, oldest.epoch);
      if (oldest.chainId !== NEVER.chainId) {
        const chain = this.#chainOf(oldest.chainId);
        chain.chainFloor = Math.max(chain.chainFloor, oldest.chainFloor);
        chain.sharedFloor = Math.max(chain.sharedFloor, oldest.sharedFloor);
      }
      return;
    }
  }

  /** One for each configured chain: callers pass no other. */
  #chainOf(chainId: number): ChainFloor {
    let chain = this.#chains.get(chainId);
    if (chain === undefined) {
      chain = { watchedFrom: null, headSeen: 0, headBefore: 0, chainFloor: 0, sharedFloor: 0 };
      this.#chains.set(chainId, chain);
    }
    return chain;
  }
}

/** EIP-155 knows no chain 0. */
const NEVER: Omit<Withdrawal, 'epoch'> = { chainId: 0, mark: '', chainFloor: 0, sharedFloor: 0 };
