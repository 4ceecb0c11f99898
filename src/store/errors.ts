/** What the store can fail with. Its texts are for operators: they never hold a password or a key. */
import createError from '@fastify/error';

/** At start: the address of Redis cannot be used at all. */
export const RedisUrlInvalid = createError<[string]>(
  'REDIS_URL_INVALID',
  'REDIS_URL must be redis://host:port or rediss://host:port: %s',
  500,
);

/** Redis does not answer, or not in time. */
export const RedisUnavailable = createError<[string, string]>(
  'REDIS_UNAVAILABLE',
  'Redis at %s is not available: %s',
  503,
);

/** At start: what DATA_DIR says of an earlier process cannot be read, and going on would accept its replays. */
export const FutureMarkInvalid = createError<[string]>(
  'FUTURE_MARK_INVALID',
  '%s does not hold a number of seconds; remove it only when no signature accepted before can still be valid',
  500,
);
