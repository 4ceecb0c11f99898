/**
 * API keys: `sage_<id>.<secret>`. The rows of all keys are in memory and follow the database, so that a key made, rotated
 * or revoked on one node is so on every node, and a request costs one hash and no query. While the database is away, what
 * was known stays in force.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ApiKeyRow, ApiKeySecret, Database } from '../../store/database.ts';
import { followRows } from '../../store/follow-rows.ts';
import type { StoreLog } from '../../store/redis/connection.ts';
import type { CheckBearer } from './guard.ts';
import { isRole, type Principal, scopesFor } from './principal.ts';

/** Keys that are not revoked, some 400 bytes each in every node; a company has dozens of operators and jobs. */
export const API_KEYS_MAX = 1_000;
/** Recognisable, so that scanners for leaked secrets find it. */
const PREFIX = 'sage_';
const ID_BYTES = 9;
/** 256 bits: nothing to guess, and so a fast hash is enough. */
const SECRET_BYTES = 32;
const PRESENTED = /^(sage_[A-Za-z0-9_-]{12})\.([A-Za-z0-9_-]{43})$/;
/** Uses are noted this often, so that a busy key costs the database one write a minute. */
const NOTE_USED_MS = 60_000;
/** Stands in where no key has the id, so that asking for an unknown id takes as long. */
const NO_SECRET: readonly ApiKeySecret[] = [{ hash: '00'.repeat(32), expiresAtMs: 0 }];

export interface NewApiKey {
  readonly id: string;
  /** What its holder sends; kept nowhere. */
  readonly text: string;
  readonly hash: string;
}

export interface ApiKeysOptions {
  readonly database: Pick<Database, 'apiKeys' | 'onChange'>;
  readonly log: StoreLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface ApiKeys {
  readonly check: CheckBearer;
  /** Keys that open something now. */
  live(nowMs: number): readonly ApiKeyRow[];
  /** Each resolves when the change holds on this node; the others hear of it from the database. @throws what the database says */
  add(row: Parameters<Database['apiKeys']['insert']>[0]): Promise<void>;
  rotate(id: string, secret: ApiKeySecret, oldExpiresAtMs: number): Promise<ApiKeyRow>;
  revoke(id: string, atMs: number): Promise<void>;
  /** Writes down which were used since the last time. */
  noteUsed(): Promise<void>;
  /** Stops following. */
  close(): Promise<void>;
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** A secret for a key, a new one unless `id` says which. */
export function newApiKey(id = `${PREFIX}${randomBytes(ID_BYTES).toString('base64url')}`): NewApiKey {
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return { id, text: `${id}.${secret}`, hash: hashOf(secret) };
}

function isAhead(expiresAtMs: number | null, nowMs: number): boolean {
  return expiresAtMs === null || nowMs < expiresAtMs;
}

function isLive(row: ApiKeyRow, nowMs: number): boolean {
  return row.revokedAtMs === null && isAhead(row.expiresAtMs, nowMs);
}

function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'hex'), Buffer.from(b, 'hex')];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Every secret is looked at, so that the time says nothing of which one was nearly right. */
function secretOf(secrets: readonly ApiKeySecret[], hash: string): ApiKeySecret | null {
  let found: ApiKeySecret | null = null;
  for (const secret of secrets) if (sameHash(secret.hash, hash)) found = secret;
  return found;
}

/** @throws what the first reading of the rows fails with: see `followRows` */
export async function openApiKeys({ database, log, now }: ApiKeysOptions): Promise<ApiKeys> {
  const rows = database.apiKeys;
  let byId = new Map<string, ApiKeyRow>();
  let used = new Set<string>();
  const follower = await followRows({
    database,
    topic: 'api_keys',
    read: () => rows.all(),
    apply: (all) => {
      byId = new Map(all.map((row) => [row.id, row]));
    },
    log,
    now,
  });

  /** It is written, so it holds here, whether or not it can be read back just now; the follower logs why not. */
  const settle = async (row: ApiKeyRow): Promise<void> => {
    await follower.refresh().catch(() => byId.set(row.id, row));
  };
  const opens = (id: string, hash: string, nowMs: number): boolean => {
    const row = byId.get(id);
    if (row === undefined || !isLive(row, nowMs)) return false;
    const secret = secretOf(row.secrets, hash);
    return secret !== null && isAhead(secret.expiresAtMs, nowMs);
  };
  const principalFor = (row: ApiKeyRow, secret: ApiKeySecret, hash: string): Principal | null => {
    // A role of a later release: what it may is not known here.
    if (!isRole(row.role)) return null;
    const ends = [row.expiresAtMs, secret.expiresAtMs].map((ms) => ms ?? Number.POSITIVE_INFINITY);
    return {
      actor: `key:${row.id}`,
      method: 'api_key',
      role: row.role,
      scopes: scopesFor(row.role, row.scopes),
      expiresAtMs: Math.min(...ends),
      stands: (nowMs) => opens(row.id, hash, nowMs),
    };
  };
  const noteUsed = async (): Promise<void> => {
    const ids = [...used];
    used = new Set();
    if (ids.length === 0) return;
    try {
      await rows.noteUsed(ids, now());
    } catch (error) {
      log.warn({ err: error }, 'when API keys were last used could not be noted');
    }
  };
  const timer = setInterval(() => void noteUsed(), NOTE_USED_MS);

  return {
    check(token, nowMs) {
      const [, id, secret] = PRESENTED.exec(token) ?? [];
      if (id === undefined || secret === undefined) return null;
      const row = byId.get(id);
      const hash = hashOf(secret);
      const found = secretOf(row?.secrets ?? NO_SECRET, hash);
      if (row === undefined || found === null || !opens(id, hash, nowMs)) return null;
      used.add(id);
      return principalFor(row, found, hash);
    },
    live: (nowMs) => [...byId.values()].filter((row) => isLive(row, nowMs)),
    async add(row) {
      await rows.insert(row);
      await settle({ ...row, revokedAtMs: null, lastUsedAtMs: null });
    },
    async rotate(id, secret, oldExpiresAtMs) {
      const row = await rows.rotate(id, secret, oldExpiresAtMs);
      await settle(row);
      return row;
    },
    async revoke(id, atMs) {
      await rows.revoke(id, atMs);
      const row = byId.get(id);
      if (row !== undefined) await settle({ ...row, revokedAtMs: row.revokedAtMs ?? atMs });
      else await follower.refresh().catch(() => undefined);
    },
    noteUsed,
    async close() {
      clearInterval(timer);
      await follower.close();
    },
  };
}
