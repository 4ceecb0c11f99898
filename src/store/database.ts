/**
 * What the gateway remembers beyond a restart: the contract of the store, which SQLite (the default) and PostgreSQL
 * (`DATABASE_URL`) keep alike. Rows go in and out; what they mean belongs to the rooms that ask.
 *
 * Every method rejects with a coded error of `errors.ts` and leaves nothing half-written: `StoreUnavailable`,
 * `StoreReadOnly`, `StoreFull`, `StoreBusy` (all worth another try later), `RowExists`, `RowMissing`, `RowChanged`.
 * Times are milliseconds since the epoch and come in as arguments.
 */

/** What other nodes must hear of: each names rows that every node keeps in memory and reads again as a whole. */
export const TOPICS = ['agents', 'api_keys', 'policy', 'revocations'] as const;
export type Topic = (typeof TOPICS)[number];

/** Keyset pagination: `cursor` is opaque, null for the first page; `limit` is 1 to 500. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor: string | null;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** For the next request; null when there is no more. */
  readonly next: string | null;
}

/** An agent that was added by the operators' API; those of `sage.yaml` never stand here. */
export interface AgentRow {
  readonly id: string;
  /** JSON of the entry, in the words of `sage.yaml`. */
  readonly definition: string;
  /** 1 when added, one more with each change. */
  readonly version: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly updatedBy: string;
}

export interface AgentRows {
  /** All, by id: bounded by who inserts. */
  all(): Promise<readonly AgentRow[]>;
  get(id: string): Promise<AgentRow | null>;
  /** @throws RowExists */
  insert(id: string, definition: string, by: string, atMs: number): Promise<AgentRow>;
  /** @param version what the change was made from; null: whatever stands there. @throws RowMissing, RowChanged */
  update(id: string, definition: string, version: number | null, by: string, atMs: number): Promise<AgentRow>;
  /** @throws RowMissing, RowChanged */
  remove(id: string, version: number | null): Promise<void>;
}

export interface ApiKeySecret {
  /** SHA-256 of the secret, hex. The secret has 256 random bits, so a slow hash would protect nothing more. */
  readonly hash: string;
  /** Infinity is null. */
  readonly expiresAtMs: number | null;
}

export interface ApiKeyRow {
  /** The part before the dot of `prefix.secret`. */
  readonly id: string;
  readonly name: string;
  readonly role: string;
  /** Narrows the role; null: all that the role may. */
  readonly scopes: readonly string[] | null;
  /** Newest first; two while it is being rotated. */
  readonly secrets: readonly ApiKeySecret[];
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

export interface ApiKeyRows {
  /** All that may still be used and those revoked lately; for the cache of every node. */
  all(): Promise<readonly ApiKeyRow[]>;
  list(page: PageRequest): Promise<Page<ApiKeyRow>>;
  get(id: string): Promise<ApiKeyRow | null>;
  /** @throws RowExists */
  insert(key: Omit<ApiKeyRow, 'revokedAtMs' | 'lastUsedAtMs'>): Promise<void>;
  /**
   * Puts a new secret first and lets the one before it live until `oldExpiresAtMs`; older ones are removed.
   * @throws RowMissing for a key that is not there or revoked
   */
  rotate(id: string, secret: ApiKeySecret, oldExpiresAtMs: number): Promise<ApiKeyRow>;
  /** @throws RowMissing */
  revoke(id: string, atMs: number): Promise<void>;
  /** Coarse: called once a minute at most. Tells no other node. */
  noteUsed(ids: readonly string[], atMs: number): Promise<void>;
}

/** A DID, or one key of it, that is denied whatever its document says. */
export interface RevocationRow {
  readonly id: string;
  readonly did: string;
  /** The absolute DID URL of the key, or null: all keys of the DID. */
  readonly keyId: string | null;
  readonly reason: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
  /** Null: until it is lifted. */
  readonly expiresAtMs: number | null;
}

export interface RevocationRows {
  /** Oldest first, those of one moment by id; every node keeps them all in memory, and shows them from there. */
  all(): Promise<readonly RevocationRow[]>;
  /** @throws RowExists for an id, or for a DID and key that are denied already */
  insert(row: RevocationRow): Promise<void>;
  /** @throws RowMissing */
  remove(id: string): Promise<void>;
}

/** Where a chain's watcher has got to. */
export interface CheckpointRows {
  load(chainId: number): Promise<{ readonly number: number; readonly hash: string } | null>;
  save(chainId: number, block: { readonly number: number; readonly hash: string }): Promise<void>;
}

/** The last change of a DID on a chain that took something away: a key, or all of them. */
export interface TombstoneRow {
  readonly chainId: number;
  /** In its one spelling, 512 characters at most; empty: every DID of the chain. */
  readonly did: string;
  /** What was read of the DID at an earlier block does not know of the change. */
  readonly blockNumber: number;
  /** Of the block of the change; empty when there is none, or the number alone tells. */
  readonly blockHash: string;
}

export interface TombstoneRows {
  /** Writes many at once; one that stands there with the same block or a later one stays. Each DID once. */
  note(rows: readonly TombstoneRow[], atMs: number): Promise<void>;
  /** The latest that concerns the DID, that of its whole chain included. */
  find(chainId: number, did: string): Promise<Pick<TombstoneRow, 'blockNumber' | 'blockHash'> | null>;
  /** Forgets what was noted before `sinceMs`. What is more than `rows` is folded into one row for the whole chain. */
  trim(keep: { readonly rows: number; readonly sinceMs: number }): Promise<void>;
}

/** Who called most often of late, by any node. */
export interface FrequentDidRows {
  /** The most frequent first. */
  load(max: number): Promise<readonly string[]>;
  /**
   * Notes those of one node, the most frequent first, each once and of 512 characters at most. What is more than `rows` then,
   * or was noted before `sinceMs`, is forgotten.
   */
  save(
    dids: readonly string[],
    atMs: number,
    keep: { readonly rows: number; readonly sinceMs: number },
  ): Promise<void>;
}

/** One request, as it was decided; made from its record. */
export interface DecisionRow {
  readonly requestId: string;
  readonly atMs: number;
  readonly traceId: string;
  readonly transport: string;
  readonly method: string;
  /** Without query. */
  readonly path: string;
  readonly address: string;
  /** Empty when it got no agent, caller, key, rule or code. */
  readonly agentId: string;
  readonly did: string;
  readonly keyId: string;
  readonly effect: 'allow' | 'deny' | 'none';
  readonly ruleId: string;
  readonly policyRevision: string;
  readonly status: number;
  readonly code: string;
  /** JSON of what only one decision's page shows: timings, instance, attempts, shadow rules, bytes, inner reason. */
  readonly detail: string;
}

export interface DecisionFilter {
  readonly did?: string;
  readonly agentId?: string;
  readonly address?: string;
  readonly code?: string;
  readonly effect?: 'allow' | 'deny' | 'none';
  readonly ruleId?: string;
  readonly statusMin?: number;
  readonly statusMax?: number;
  /** Included. */
  readonly fromMs?: number;
  /** Not included. */
  readonly toMs?: number;
}

export interface DecisionRows {
  /** A batch in one transaction; a request id that stands there already is left as it is. */
  append(rows: readonly DecisionRow[]): Promise<void>;
  get(requestId: string): Promise<DecisionRow | null>;
  /** Newest first. */
  list(filter: DecisionFilter, page: PageRequest): Promise<Page<DecisionRow>>;
  /** Removes what is too old or too much, oldest first, a bounded number at a time; answers how many. */
  trim(keep: { readonly rows: number; readonly sinceMs: number }): Promise<number>;
}

/** A policy that was put in force by the operators' API. */
export interface PolicyRow {
  /** 1, 2, 3 … */
  readonly sequence: number;
  /** The compiled policy's own revision. */
  readonly revision: string;
  /** The YAML as it was sent; null: back to what `sage.yaml` says. */
  readonly text: string | null;
  readonly note: string;
  readonly createdAtMs: number;
  readonly createdBy: string;
}

export interface PolicyRows {
  /** The one in force, or null when there never was one. */
  latest(): Promise<PolicyRow | null>;
  get(sequence: number): Promise<PolicyRow | null>;
  /** Newest first, their texts left out (null) since a page of them may be large; `get` has them. */
  list(page: PageRequest): Promise<Page<PolicyRow>>;
  /**
   * Appends; the oldest beyond 100 are removed.
   * @param after the sequence it was made from; null: whatever is latest. @throws RowChanged
   */
  insert(row: Omit<PolicyRow, 'sequence'>, after: number | null): Promise<PolicyRow>;
}

/** What an idempotency key was first used for. */
export type IdempotencyState =
  | { readonly state: 'begun' }
  | { readonly state: 'running' }
  /** The same key with another request. */
  | { readonly state: 'other' }
  | { readonly state: 'done'; readonly status: number; readonly body: string };

export interface IdempotencyRows {
  /** Begins, or says what came of it; rows older than `ttlMs` are forgotten, running ones older than a minute too. */
  begin(
    actor: string,
    key: string,
    requestHash: string,
    atMs: number,
    ttlMs: number,
  ): Promise<IdempotencyState>;
  finish(actor: string, key: string, status: number, body: string): Promise<void>;
  /** The request failed without an effect: the key may be used again. */
  abandon(actor: string, key: string): Promise<void>;
}

export interface DatabaseStatus {
  readonly kind: 'sqlite' | 'postgresql';
  /** File, or host, port and database; no credentials. */
  readonly endpoint: string;
  readonly connected: boolean;
  readonly writable: boolean;
  /** The last failure in words, or empty. Kept after recovery. */
  readonly lastError: string;
  /** Round trip of the last probe, milliseconds. */
  readonly latencyMs: number;
  /** When the last probe was answered, milliseconds since the epoch; 0 for never. */
  readonly checkedAtMs: number;
  /** Calls that wait for a connection or for the writer thread. */
  readonly waiting: number;
  /** Connections in use and at most; for SQLite 0 or 1 of 1. */
  readonly inUse: number;
  readonly size: number;
  /** Calls refused because too many were waiting, since start. */
  readonly shed: number;
}

export interface Database {
  readonly agents: AgentRows;
  readonly apiKeys: ApiKeyRows;
  readonly revocations: RevocationRows;
  readonly checkpoints: CheckpointRows;
  readonly tombstones: TombstoneRows;
  readonly frequentDids: FrequentDidRows;
  readonly decisions: DecisionRows;
  readonly policies: PolicyRows;
  readonly idempotency: IdempotencyRows;
  /**
   * Calls `listener` when rows of a topic may have changed, by this process or another; it then reads them again.
   * At once after an own write, by NOTIFY from other nodes, and by a poll (2 s) that stands behind both: after a lost
   * connection every topic is told. Returns a function that stops it.
   */
  onChange(listener: (topic: Topic) => void): () => void;
  status(): DatabaseStatus;
  /** Finishes what was begun. */
  close(): Promise<void>;
}
