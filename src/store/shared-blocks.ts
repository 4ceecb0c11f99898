/** Blocks that nodes tell each other through Redis. Texts from there are checked like any other input. */
import { type AddressKey, isAddressKey } from './address.ts';
import { type BlockNote, formatNote, parseNote } from './block-notes.ts';
import type { RedisStore, StoreLog } from './redis/connection.ts';

/** Addresses change hands: whatever a rule or another node says, a block is over after a day. */
export const BLOCK_MS_MAX = 86_400_000;
/** Blocks kept in Redis, and fetched by a node that comes back: a megabyte. So many liftings are kept too. */
const SHARED_BLOCKS_MAX = 10_000;

/** What this node does with what it hears. */
export interface BlocksHere {
  block(address: AddressKey, forMs: number, note: BlockNote): void;
  /** @param agoMs how long ago; what was blocked since then stays. */
  lift(address: AddressKey, agoMs: number): void;
}

export interface SharedBlocks {
  /** @throws RedisUnavailable; it may have been carried out nevertheless. */
  block(address: AddressKey, forMs: number, note: BlockNote): Promise<void>;
  /** Whether Redis knew of a block. @throws RedisUnavailable likewise. */
  lift(address: AddressKey): Promise<boolean>;
}

/** Listens from now on, and fetches what was blocked before. */
export function shareBlocks(redis: RedisStore, here: BlocksHere, log: StoreLog): SharedBlocks {
  const name = (what: string): string => `${redis.prefix}${what}`;
  const [blocks, notes, lifted] = [name('blocks'), name('block-notes'), name('unblocked')];

  const blocked = (address: string, forMs: number, note: string): void => {
    if (isAddressKey(address) && forMs > 0) here.block(address, forMs, parseNote(note));
  };
  const unblocked = (address: string, agoMs: number): void => {
    if (isAddressKey(address) && agoMs >= 0) here.lift(address, agoMs);
  };
  redis.bus.on(name('block'), (text) => {
    const [forMs = '', address = ''] = text.split(' ', 2);
    blocked(address, Number(forMs), text.slice(forMs.length + address.length + 2));
  });
  redis.bus.on(name('unblock'), (text) => unblocked(text, 0));
  const fetchAll = async (): Promise<void> => {
    if (!redis.usable()) return;
    try {
      const gone = await redis.run((client) => client.unblocked(lifted));
      for (let at = 0; at + 1 < gone.length; at += 2) unblocked(String(gone[at]), Number(gone[at + 1]));
      const found = await redis.run((client) => client.blocked(blocks, notes, SHARED_BLOCKS_MAX));
      for (let at = 0; at + 2 < found.length; at += 3)
        blocked(String(found[at]), Number(found[at + 1]), String(found[at + 2]));
    } catch (error) {
      log.warn({ err: error }, 'blocks set by other nodes could not be fetched');
    }
  };
  // Either connection may be the later one, and a block set in between reached neither.
  redis.onUp(() => void fetchAll());
  redis.bus.onRestored(() => void fetchAll());

  return {
    async block(address, forMs, note) {
      const ms = Math.ceil(Math.min(forMs, BLOCK_MS_MAX));
      const text = formatNote(note);
      const kept = await redis.run((client) =>
        client.block(blocks, notes, lifted, address, ms, SHARED_BLOCKS_MAX, name('block'), text),
      );
      if (kept === 0)
        log.warn({ address }, 'too many shared blocks; nodes that start later will not know this one');
    },
    async lift(address) {
      const known = await redis.run((client) =>
        client.unblock(blocks, notes, lifted, address, BLOCK_MS_MAX, SHARED_BLOCKS_MAX, name('unblock')),
      );
      return known > 0;
    },
  };
}
