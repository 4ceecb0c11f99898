/** Keeps the last followed block where a restart finds it. */
import type { BlockRef } from './blocks.ts';

/** Where the last followed block is kept over restarts. */
export interface Checkpoint {
  load(): Promise<BlockRef | undefined> | BlockRef | undefined;
  save(block: BlockRef): Promise<void> | void;
}

export interface WatcherLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Saves the newest checkpoint, one at a time: a slow store skips blocks, it never falls behind. */
export function createSaver(
  checkpoint: Checkpoint | undefined,
  log: WatcherLog,
): { save(block: BlockRef): void; idle(): Promise<void> } {
  let waiting: BlockRef | undefined;
  let saving: Promise<void> | undefined;

  async function drain(port: Checkpoint): Promise<void> {
    while (waiting !== undefined) {
      const block = waiting;
      waiting = undefined;
      try {
        await port.save(block);
      } catch (error) {
        // The next block saves again; until then a restart reads a little more than it must.
        log.warn({ err: error, block: block.number }, 'chain watcher: the checkpoint was not saved');
      }
    }
    saving = undefined;
  }

  return {
    save(block) {
      if (checkpoint === undefined) return;
      waiting = block;
      saving ??= drain(checkpoint);
    },
    idle: () => saving ?? Promise.resolve(),
  };
}
