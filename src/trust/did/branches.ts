/**
 * On which branch of a chain documents were read. A node that is asked may be ahead of the watcher: what it read there is
 * used, but if that block is dropped before it was followed, no event tells so. Each such document is remembered until its
 * block is followed, or another one in its place.
 */

/** Documents read ahead of a watcher; the oldest beyond is forgotten. It is 64 reads at once until the next head. */
const WAITING_MAX = 4_096;

export interface Place {
  readonly blockNumber: number;
  readonly blockHash: string;
}

/** The hash of a block that was followed lately; undefined for others. */
export type HashOf = (blockNumber: number) => string | undefined;

interface Branch {
  tip: number;
  hashOf: HashOf;
  /** By DID. */
  readonly waiting: Map<string, Place>;
}

export class Branches {
  readonly #byChain = new Map<number, Branch>();

  /** Whether the block is known to be none of the chain that is followed. */
  isOther(chainId: number, { blockNumber, blockHash }: Place): boolean {
    const followed = this.#byChain.get(chainId)?.hashOf(blockNumber);
    return followed !== undefined && followed !== blockHash;
  }

  /**
   * A document is being kept.
   * @returns the DID of one that is to be forgotten for it, if any
   */
  note(chainId: number, did: string, { blockNumber, blockHash }: Place): string | undefined {
    const branch = this.#byChain.get(chainId);
    if (branch === undefined) return undefined;
    const { tip, waiting } = branch;
    waiting.delete(did);
    if (blockNumber <= tip) return undefined;
    const oldest: string | undefined = waiting.size < WAITING_MAX ? undefined : waiting.keys().next().value;
    if (oldest !== undefined) waiting.delete(oldest);
    waiting.set(did, { blockNumber, blockHash });
    return oldest;
  }

  /**
   * The chain was followed up to this block.
   * @returns the DIDs whose documents were read at blocks that did not come to be
   */
  followed(chainId: number, tip: number, hashOf: HashOf): readonly string[] {
    const branch = this.#byChain.get(chainId) ?? { tip, hashOf, waiting: new Map<string, Place>() };
    this.#byChain.set(chainId, branch);
    // Where the chain has become shorter, nobody can say when it will get there.
    const fell = tip < branch.tip;
    branch.tip = tip;
    branch.hashOf = hashOf;
    const gone: string[] = [];
    for (const [did, place] of branch.waiting) {
      if (!fell && place.blockNumber > tip) continue;
      branch.waiting.delete(did);
      if (fell || this.isOther(chainId, place)) gone.push(did);
    }
    return gone;
  }
}
