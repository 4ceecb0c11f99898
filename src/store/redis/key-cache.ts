/**
 * The tier of the key cache that all nodes share. It stores text and knows nothing of keys: whoever writes
 * authenticates the values, because Redis is not a root of trust.
 */
import type { RedisStore } from './connection.ts';

/** A cached key with its proof is under 2 KB; a longer value was not written by us and is not read. */
const VALUE_BYTES_MAX = 65_536;

/**
 * `delete` and `publishPurge`, called in this order without waiting, reach the server in this order: both go over
 * one connection.
 */
export interface SharedKeyCache {
  /** @throws {RedisUnavailable} */
  get(key: string): Promise<string | null>;
  /** @param ttlMs above 0. @throws {RedisUnavailable} */
  set(key: string, value: string, ttlMs: number): Promise<void>;
  /** @throws {RedisUnavailable} */
  delete(keys: string[]): Promise<void>;
  /** Tells every node, this one included. @throws {RedisUnavailable} */
  publishPurge(text: string): Promise<void>;
  /** One listener. */
  onPurge(listener: (text: string) => void): void;
  /** Purges may be missed from now on: whatever memory holds may be revoked without our hearing of it. */
  onDisconnect(listener: () => void): void;
  /** Purges arrive from now on; those sent before never will. Called for the first connection too. */
  onReconnect(listener: () => void): void;
}

export function createSharedKeyCache(redis: RedisStore): SharedKeyCache {
  const channel = `${redis.prefix}purge`;
  const name = (key: string) => `${redis.prefix}key:${key}`;
  return {
    async get(key) {
      // GETRANGE reads no more than is wanted, whatever lies there; an absent value reads as empty.
      const value = await redis.run((client) => client.getrange(name(key), 0, VALUE_BYTES_MAX));
      return value === '' || value.length > VALUE_BYTES_MAX ? null : value;
    },
    async set(key, value, ttlMs) {
      await redis.run((client) => client.set(name(key), value, 'PX', Math.max(1, Math.floor(ttlMs))));
    },
    async delete(keys) {
      if (keys.length > 0) await redis.run((client) => client.del(...keys.map(name)));
    },
    async publishPurge(text) {
      await redis.run((client) => client.publish(channel, text));
    },
    onPurge: (listener) => redis.bus.on(channel, listener),
    onDisconnect: (listener) => redis.bus.onLost(listener),
    onReconnect: (listener) => redis.bus.onRestored(listener),
  };
}
