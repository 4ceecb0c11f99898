/**
 * The revocations that operators made, from the database into the deny list, on every node alike. What a denied caller
 * holds open is closed before the one who denied him is answered.
 */
import { LRUCache } from 'lru-cache';
import type { Database, RevocationRow } from '../../store/database.ts';
import { followRows, type RowFollower } from '../../store/follow-rows.ts';
import type { StoreLog } from '../../store/redis/connection.ts';
import type { DenyList } from './deny-list.ts';
import { type RevocationEvent, revocationLifted, revocationMade } from './events.ts';

/** Rows at most, some 300 bytes each in every node: thirty megabytes. Whoever denies more names a pattern in the policy. */
export const REVOCATIONS_MAX = 100_000;
/** Closings remembered until whoever caused them asks how many they were. */
const CLOSINGS_MAX = 1_000;

export interface StoredDenialsOptions {
  readonly database: Pick<Database, 'revocations' | 'onChange'>;
  readonly denied: DenyList;
  /** Forgets the keys of a DID, and closes what its callers hold open with one that no longer stands; answers how many. */
  close(did: string): Promise<number>;
  readonly log: StoreLog;
  readonly now: () => number;
}

export interface StoredDenials {
  /** What is denied here now, rows that have run out included; oldest first. */
  rows(): readonly RevocationRow[];
  /**
   * Stores one more and puts it in force here; the other nodes hear of it from the database.
   * @returns how many exchanges were closed here
   * @throws what the database says; nothing is denied then.
   */
  add(row: RevocationRow): Promise<number>;
  /** Lifts one. @throws what the database says; it stays in force then. */
  remove(id: string): Promise<void>;
  behindSinceMs(): number | null;
  stop(): Promise<void>;
}

/** Resolves when what was denied before is denied again. @throws what the database says: see `followRows`. */
export async function openStoredDenials(options: StoredDenialsOptions): Promise<StoredDenials> {
  const { database, denied, log, now } = options;
  const closings = new LRUCache<string, Promise<number>>({ max: CLOSINGS_MAX });
  let rows: readonly RevocationRow[] = [];
  let begun = false;

  const apply = (next: readonly RevocationRow[]): void => {
    // What was denied before this process began is no news.
    if (begun) tellOfChanges(rows, next);
    begun = true;
    rows = next;
    for (const did of denied.replace(next)) {
      const closing = options.close(did);
      closings.set(did, closing);
      closing.then(
        (closed) => log.info({ did, closed }, 'revoked by an operator'),
        (error: unknown) =>
          log.error({ err: error, did }, 'what a revoked caller holds open could not be closed'),
      );
    }
  };
  const follower: RowFollower = await followRows({
    database,
    topic: 'revocations',
    read: () => database.revocations.all(),
    apply,
    log,
    now,
  });
  return {
    rows: () => rows,
    async add(row) {
      closings.delete(row.did);
      await database.revocations.insert(row);
      try {
        await follower.refresh();
      } catch {
        // It is written, so it holds, whether or not it can be read back just now; the follower has logged why.
        apply([...rows.filter(({ id }) => id !== row.id), row]);
      }
      return (await closings.get(row.did)) ?? 0;
    },
    async remove(id) {
      await database.revocations.remove(id);
      try {
        await follower.refresh();
      } catch {
        apply(rows.filter((row) => row.id !== id));
      }
    },
    behindSinceMs: () => follower.behindSinceMs(),
    stop: () => follower.close(),
  };
}

function tellOfChanges(before: readonly RevocationRow[], next: readonly RevocationRow[]): void {
  if (!revocationMade.hasSubscribers && !revocationLifted.hasSubscribers) return;
  const known = new Set(before.map(({ id }) => id));
  const standing = new Set(next.map(({ id }) => id));
  for (const row of next) if (!known.has(row.id)) revocationMade.publish(eventOf(row));
  for (const row of before) if (!standing.has(row.id)) revocationLifted.publish(eventOf(row));
}

const eventOf = ({ id, did, keyId, reason, createdBy }: RevocationRow): RevocationEvent => ({
  id,
  did,
  keyId,
  reason,
  by: createdBy,
});
