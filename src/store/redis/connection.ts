/**
 * The connection to Redis, and the truth about it. Redis is a meeting point of nodes, never a root of trust and
 * never needed to serve: everything here fails at once rather than waits, and `usable()` lets a caller take its
 * local path without trying. Nothing is queued while the connection is away, nothing is sent twice.
 */
import { RedisUnavailable, RedisUrlInvalid } from '../errors.ts';
import { Bus } from './bus.ts';
import { CLOCK_DIFFERENCE_MS_MAX, RedisMemory } from './memory.ts';
import { type ClientOptions, createClient, type ScriptedRedis } from './scripts.ts';

/** Loopback answers in 0.1 ms and another zone in 2; beyond this the answer is worth less than the wait. */
const COMMAND_MS_MAX = 250;
const CONNECT_MS_MAX = 2_000;
/** Backoff between attempts to connect: first, and longest, so that a healed Redis is used within a second. */
const RETRY_MS_MIN = 50;
const RETRY_MS_MAX = 1_000;
/** How often a healthy server is asked whether it still is what it was. */
const HEARTBEAT_MS = 2_000;
/** How often a server that let a command time out is tried again; until then nobody waits for it. */
const SUSPECT_PROBE_MS = 250;
/** A node silent for five heartbeats no longer counts when limits are shared out. */
const NODE_GONE_MS = 5 * HEARTBEAT_MS;
/** Commands waiting for an answer: at 250 ms each, 16,000 a second; beyond it callers go their local way. */
const IN_FLIGHT_MAX = 4_096;
/** How long `ready` waits for a first answer before it says that there is none. */
const FIRST_ANSWER_MS_MAX = 3_000;
const CLOSED = 'the connection was closed';
const PREFIX_DEFAULT = 'sage:';

/** What the store needs of a logger; pino's is one. */
export interface StoreLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface RedisStatus {
  readonly connected: boolean;
  /** Host and port, without credentials. */
  readonly endpoint: string;
  /** The last failure in words, or empty. Kept after recovery. */
  readonly lastError: string;
  /** Round trip of the last heartbeat, milliseconds. */
  readonly latencyMs: number;
  /** When the last heartbeat was answered, milliseconds since the epoch; 0 for never. */
  readonly checkedAtMs: number;
  /** Gateways that share this Redis, this one included; the last number known. */
  readonly liveNodes: number;
  /** True while messages of other nodes (purges, blocks) arrive. */
  readonly listening: boolean;
  /** Why this Redis must not keep nonces, or empty. */
  readonly nonceFault: string;
  /** When it was last noticed that Redis had forgotten its nonces, milliseconds since the epoch; 0 for never. */
  readonly forgotAtMs: number;
  /** Signatures created before this moment are refused, milliseconds since the epoch. */
  readonly remembersSinceMs: number;
}

export interface RedisConnectOptions {
  /** redis:// or rediss://, with user, password and database if need be. */
  readonly url: string;
  readonly log: StoreLog;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Names this process among the nodes; random, 8 characters or more. */
  readonly nodeId: string;
  /** The most by which an accepted signature may be dated ahead of our clock: the skew that identity allows. */
  readonly createdAheadMsMax: number;
  /** Gateways that share state have the same; default `sage:`. */
  readonly prefix?: string;
}

/** @throws {RedisUrlInvalid} An unreachable server is no error: see `ready`. */
export function connectRedis(options: RedisConnectOptions): RedisStore {
  return new RedisStore(options);
}

export class RedisStore {
  /** The first verdict: connected, or why not. The connection goes on being tried either way. Never rejects. */
  readonly ready: Promise<RedisStatus>;
  readonly prefix: string;
  readonly log: StoreLog;
  readonly bus: Bus;
  readonly #options: RedisConnectOptions;
  readonly #endpoint: string;
  readonly #client: ScriptedRedis;
  readonly #firstVerdict = Promise.withResolvers<void>();
  readonly #upListeners: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #probing = false;
  #usable = false;
  #closed = false;
  #inFlight = 0;
  #gathering: ScriptedRedis['stream'] | null = null;
  #lastError = '';
  #reportedError = '';
  #latencyMs = 0;
  #checkedAtMs = 0;
  #liveNodes = 1;
  #nonceFault = '';
  readonly #memory = new RedisMemory();
  readonly #memoryKey: string;

  constructor(options: RedisConnectOptions) {
    this.#options = options;
    this.#endpoint = endpointOf(options.url);
    this.prefix = options.prefix ?? PREFIX_DEFAULT;
    this.#memoryKey = `${this.prefix}epoch`;
    this.log = options.log;
    this.#client = createClient(options.url, clientOptions());
    this.bus = new Bus(createClient(options.url, clientOptions()), options.log);
    this.#client.on('ready', () => void this.#probe());
    this.#client.on('error', (error: Error) => this.#down(error));
    this.#client.on('close', () => this.#down(new Error(CLOSED)));
    const timer = setTimeout(() => this.#down(new Error('no answer')), FIRST_ANSWER_MS_MAX);
    this.ready = this.#firstVerdict.promise.then(() => {
      clearTimeout(timer);
      return this.status();
    });
    // A failed attempt arrives as `error`; the promise would only say it again.
    this.#client.connect().catch(() => undefined);
    this.bus.connect();
  }

  status(): RedisStatus {
    return {
      connected: this.#usable,
      endpoint: this.#endpoint,
      lastError: this.#lastError,
      latencyMs: this.#latencyMs,
      checkedAtMs: this.#checkedAtMs,
      liveNodes: this.#liveNodes,
      listening: this.bus.listening,
      nonceFault: this.#nonceFault,
      forgotAtMs: this.#memory.forgotAtMs,
      remembersSinceMs: this.#memory.sinceMs,
    };
  }

  /** False when a command would fail or wait too long. */
  usable(): boolean {
    return this.#usable && this.#inFlight < IN_FLIGHT_MAX;
  }

  liveNodes(): number {
    return this.#liveNodes;
  }

  /** Why this Redis must not keep nonces, or empty. */
  nonceFault(): string {
    return this.#nonceFault;
  }

  /** Called each time Redis has become usable, the first time included. */
  onUp(listener: () => void): void {
    this.#upListeners.push(listener);
    if (this.#usable) listener();
  }

  /**
   * Signatures created before may have been used and forgotten; milliseconds since the epoch.
   * @param aheadMs how far ahead of the clock such signatures are accepted, where that is further than others are
   */
  remembersSinceMs(aheadMs = 0): number {
    const { sinceMs, followsLoss } = this.#memory;
    return sinceMs + (followsLoss ? Math.max(0, aheadMs - this.#options.createdAheadMsMax) : 0);
  }

  /**
   * Reserves a nonce in the memory that `remembersSinceMs` tells of, or says that it is gone; one round trip.
   * @throws {RedisUnavailable} and errors that Redis answers with.
   */
  async reserve(
    nonce: string,
    ttlMs: number,
    nowMs: number,
  ): Promise<'reserved' | 'replayed' | 'forgotten' | 'unavailable'> {
    const { mark, beat } = this.#memory;
    const answer = await this.run((client) =>
      client.reserve(
        `${this.prefix}nonce:${nonce}`,
        this.#memoryKey,
        ttlMs,
        mark,
        beat,
        nowMs,
        CLOCK_DIFFERENCE_MS_MAX,
      ),
    );
    if (answer === 1) return 'reserved';
    if (answer === 0) return 'replayed';
    // The next heartbeat says what has happened; nobody should wait two seconds for it.
    void this.#probe();
    return answer === 2 ? 'forgotten' : 'unavailable';
  }

  /**
   * Sends one command.
   * @throws {RedisUnavailable} when there is no answer in time; it may have been carried out nevertheless.
   * Errors that Redis answers with come as they are.
   */
  async run<T>(command: (client: ScriptedRedis) => Promise<T>): Promise<T> {
    if (!this.usable()) throw new RedisUnavailable(this.#endpoint, this.#lastError);
    this.#inFlight += 1;
    this.#gather();
    try {
      return await command(this.#client);
    } catch (error) {
      if (isReply(error)) throw error;
      // One command that waited in vain is enough: the others go their local way until a probe is answered.
      this.#down(error);
      throw new RedisUnavailable(this.#endpoint, messageOf(error));
    } finally {
      this.#inFlight -= 1;
    }
  }

  /**
   * What the requests of one turn of the event loop ask is written at once, at the end of that turn: they arrive together
   * and a write to a socket costs more than the command.
   */
  #gather(): void {
    const { stream } = this.#client;
    if (stream === this.#gathering) return;
    this.#gathering = stream;
    stream.cork();
    setImmediate(() => {
      this.#gathering = null;
      stream.uncork();
    });
  }

  /** Leaves at once; commands in flight fail. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#firstVerdict.resolve();
    if (this.#usable) {
      // So that the others share out the limits anew at once; they would notice by themselves.
      await this.#client.zrem(`${this.prefix}nodes`, this.#options.nodeId).catch(() => undefined);
    }
    this.#usable = false;
    this.bus.close();
    this.#client.disconnect();
  }

  /** Asks the server who it is and what it may forget; only its answer makes it usable. */
  async #probe(): Promise<void> {
    if (this.#closed || this.#probing) return;
    clearTimeout(this.#timer);
    if (this.#client.status !== 'ready') return;
    this.#probing = true;
    try {
      const info = await this.#client.info();
      await this.#beat(field(info, 'run_id'));
      if (this.#memory.jumped) await this.#beat(field(info, 'run_id'));
      this.#judgePolicy(field(info, 'maxmemory_policy'));
      this.#up();
    } catch (error) {
      this.#down(error);
    } finally {
      this.#probing = false;
      this.#schedule();
    }
    await this.bus.check();
  }

  #schedule(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#probe(), this.#usable ? HEARTBEAT_MS : SUSPECT_PROBE_MS);
  }

  async #beat(runId: string): Promise<void> {
    const memory = this.#memory;
    const at = { wallMs: this.#options.now(), monotonicMs: performance.now(), latencyMs: 0 };
    const answer = await this.#client.heartbeat(
      `${this.prefix}nodes`,
      this.#memoryKey,
      this.#options.nodeId,
      runId,
      NODE_GONE_MS,
      memory.mark,
      memory.beat,
      this.#options.createdAheadMsMax + CLOCK_DIFFERENCE_MS_MAX,
      memory.jumped ? '1' : '0',
    );
    this.#latencyMs = performance.now() - at.monotonicMs;
    this.#checkedAtMs = this.#options.now();
    this.#liveNodes = Math.max(1, answer[0]);
    if (!memory.note(answer, { ...at, latencyMs: this.#latencyMs })) return;
    this.log.warn(
      { redis: this.#endpoint, until: new Date(memory.sinceMs).toISOString() },
      'Redis has forgotten its nonces; signatures made before now are refused',
    );
  }

  /**
   * A Redis that may evict what has not expired would forget nonces exactly when somebody presses it to, and one whose
   * clock is not ours when a node accepts what another has seen expire.
   */
  #judgePolicy(policy: string): void {
    const fault =
      policy === 'noeviction'
        ? this.#memory.clockFault
        : `maxmemory-policy of Redis is "${policy || 'unknown'}": it may evict nonces, so replays could pass; set it to noeviction`;
    if (this.#nonceFault === '' && fault !== '') this.log.error({ redis: this.#endpoint }, fault);
    this.#nonceFault = fault;
  }

  #up(): void {
    this.#firstVerdict.resolve();
    if (this.#usable || this.#closed) return;
    this.#usable = true;
    this.#reportedError = '';
    this.log.info({ redis: this.#endpoint, liveNodes: this.#liveNodes }, 'Redis is connected');
    for (const listener of this.#upListeners) listener();
  }

  #down(error: unknown): void {
    const wasUsable = this.#usable;
    this.#usable = false;
    if (this.#closed) return;
    const words = messageOf(error);
    // "closed" follows the error that says why; the reason is what is kept.
    if (wasUsable || this.#lastError === '' || words !== CLOSED) this.#lastError = words;
    this.#firstVerdict.resolve();
    if (wasUsable) this.#schedule();
    if (!wasUsable && this.#reportedError !== '') return;
    this.#reportedError = words;
    const text =
      'Redis is not available: limits fall back to a share for this node, nonces cannot be checked with other nodes';
    this.log.error({ redis: this.#endpoint, reason: words }, text);
  }
}

function clientOptions(): ClientOptions {
  return {
    commandTimeout: COMMAND_MS_MAX,
    connectTimeout: CONNECT_MS_MAX,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    retryStrategy: (times) => Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(times, 10)),
    // A server that has become a replica answers every write so: find the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

/** @throws {RedisUrlInvalid} */
function endpointOf(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    // The text is not repeated: it may hold a password.
    throw new RedisUrlInvalid('it is not a URL');
  }
  if (parsed.protocol !== 'redis:' && parsed.protocol !== 'rediss:')
    throw new RedisUrlInvalid(`not ${parsed.protocol}`);
  if (parsed.hostname === '') throw new RedisUrlInvalid('it names no host');
  return `${parsed.hostname}:${parsed.port || '6379'}`;
}

/** One line of INFO, or empty. */
function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

function messageOf(error: unknown): string {
  // How ioredis says that the connection broke under a command it will not send again.
  if (error instanceof Error && error.name === 'MaxRetriesPerRequestError') return CLOSED;
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
