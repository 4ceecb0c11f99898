/**
 * The last blocks that were followed, with the agents each touched: what is needed to say who is concerned when
 * some of them turn out not to have happened. Nodes send the new heads of a reorganisation, but many never send
 * the old logs again with `removed: true`, so nobody else can tell.
 */
import type { BlockRef } from './blocks.ts';

export interface TouchedAgent {
  readonly registry: string;
  readonly agentId: bigint;
}

export interface RingBlock extends BlockRef {
  /** Undefined when more were touched than are kept: then it may have been anyone. */
  readonly agents: readonly TouchedAgent[] | undefined;
}

/** Deeper than any reorganisation seen since the merge (7), and than `safe` lies behind the head (32 to 64). */
export const RING_BLOCKS = 256;

export interface BlockRing {
  /** The highest block. */
  tip(): RingBlock | undefined;
  /** Number of the lowest block; Infinity when there is none. */
  lowest(): number;
  hashOf(number: number): string | undefined;
  /** @throws RangeError unless the block follows the tip by number. */
  push(block: RingBlock): void;
  /** Removes and returns the blocks above `number`, lowest first. */
  dropAbove(number: number): RingBlock[];
}

export function createBlockRing(): BlockRing {
  let blocks: RingBlock[] = [];

  function lowest(): number {
    return blocks[0]?.number ?? Number.POSITIVE_INFINITY;
  }

  return {
    tip: () => blocks.at(-1),
    lowest,
    hashOf: (number) => blocks[number - lowest()]?.hash,
    push(block) {
      const tip = blocks.at(-1);
      if (tip !== undefined && block.number !== tip.number + 1) {
        throw new RangeError(`block ${block.number} does not follow ${tip.number}`);
      }
      blocks.push(block);
      if (blocks.length > RING_BLOCKS) blocks.shift();
    },
    dropAbove(number) {
      const kept = Math.max(0, number - lowest() + 1);
      const dropped = blocks.slice(kept);
      blocks = blocks.slice(0, kept);
      return dropped;
    },
  };
}
