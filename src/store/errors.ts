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
export const AcceptedMarkInvalid = createError<[string]>(
  'ACCEPTED_MARK_INVALID',
  '%s does not hold a number of seconds; remove it only when no signature accepted before can still be valid',
  500,
);

/** The database does not answer, or not in time. */
export const StoreUnavailable = createError<[string]>(
  'STORE_UNAVAILABLE',
  'the database is not available: %s',
  503,
);

/** The database takes no writes: a read-only file, file system or server. */
export const StoreReadOnly = createError<[string]>('STORE_READ_ONLY', 'the database is read-only: %s', 503);

/** No room is left where the database writes. */
export const StoreFull = createError<[string]>('STORE_FULL', 'the database has no room left: %s', 503);

/** Another process holds the database, or too many calls wait for it. */
export const StoreBusy = createError<[string]>('STORE_BUSY', 'the database is busy: %s', 503);

/** At start: the database was made by a later release, or its migrations were changed since they ran. */
export const StoreSchemaUnknown = createError<[string]>(
  'STORE_SCHEMA_UNKNOWN',
  'the database cannot be used by this release: %s',
  500,
);

/** What is to be added is there already. */
export const RowExists = createError<[string]>('ROW_EXISTS', '%s exists already', 409);

/** What is to be changed or removed is not there. */
export const RowMissing = createError<[string]>('ROW_MISSING', '%s is not there', 404);

/** Somebody else changed the row since it was read. */
export const RowChanged = createError<[string]>('ROW_CHANGED', '%s was changed meanwhile', 412);

/** The cursor of a list is not one that it gave. */
export const CursorInvalid = createError<[]>(
  'CURSOR_INVALID',
  'the cursor is not one that this list gave',
  400,
);
