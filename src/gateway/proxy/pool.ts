/** Connections to one instance. */
import { Pool } from 'undici';
import type { AgentTimeouts, UpstreamDefinition } from '../../agents/registry.ts';

/** Sockets to one instance over HTTP/1.1; an open event stream holds one. */
const H1_CONNECTIONS_MAX = 512;
/** Sockets to one instance over HTTP/2, each with up to `H2_STREAMS_MAX` requests. */
const H2_CONNECTIONS_MAX = 8;
const H2_STREAMS_MAX = 128;
/** Requests that may hold or wait for a connection; undici's own queue has no end. */
const IN_FLIGHT_MAX = 2_048;
/** Of a response's field names and values, in bytes: as much as we take from callers. */
const RESPONSE_HEADER_BYTES_MAX = 32_768;
/** Shorter than the 5 s after which Node servers close an idle connection, so that we close it first. */
const KEEP_ALIVE_MS = 4_000;
/** However long an upstream offers to keep a connection: addresses change. */
const KEEP_ALIVE_MAX_MS = 60_000;
/** On HTTP/2 undici checks a session by a ping after its own timeout; ours comes later, so that it gets to. */
const H2_TIMEOUT_GRACE_MS = 1_000;

export interface UpstreamPool {
  readonly dispatcher: Pool;
  readonly h2: boolean;
  /** Added to the deadlines of `open-exchanges`, in milliseconds. */
  readonly graceMs: number;
  readonly timeouts: AgentTimeouts;
  /** Requests handed to the dispatcher that it has not finished with. */
  inFlight: number;
}

/** True when another request would only wait. */
export function isFull(pool: UpstreamPool): boolean {
  return pool.inFlight >= IN_FLIGHT_MAX;
}

/** True when every connection that may be opened is open: waiting is then not the upstream's fault. */
export function isSaturated(pool: UpstreamPool): boolean {
  return pool.dispatcher.stats.connected >= (pool.h2 ? H2_CONNECTIONS_MAX : H1_CONNECTIONS_MAX);
}

function openPool(upstream: UpstreamDefinition, timeouts: AgentTimeouts): UpstreamPool {
  const h2 = upstream.protocol === 'h2';
  const secure = upstream.url.startsWith('https:');
  const dispatcher = new Pool(upstream.url, {
    connections: h2 ? H2_CONNECTIONS_MAX : H1_CONNECTIONS_MAX,
    pipelining: 1,
    maxHeaderSize: RESPONSE_HEADER_BYTES_MAX,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    // Over HTTP/1.1 the deadlines of `open-exchanges` are exact and cheaper.
    headersTimeout: h2 ? timeouts.headersMs : 0,
    bodyTimeout: h2 ? timeouts.bodyIdleMs : 0,
    allowH2: h2,
    // At the top level: Pool ignores `h2Options.useH2c`.
    ...(h2 ? { useH2c: !secure, maxConcurrentStreams: H2_STREAMS_MAX } : {}),
    connect: {
      timeout: timeouts.connectMs,
      ...(upstream.ca === undefined ? {} : { ca: upstream.ca }),
    },
  });
  return { dispatcher, h2, graceMs: h2 ? H2_TIMEOUT_GRACE_MS : 0, timeouts, inFlight: 0 };
}

export interface Upstreams {
  open(upstream: UpstreamDefinition, timeouts: AgentTimeouts): UpstreamPool;
  /** Takes no more requests; the connections close when those under way are done. */
  close(pool: UpstreamPool): void;
  /** Ends everything, also what is under way. */
  destroy(): Promise<void>;
}

export function createUpstreams(): Upstreams {
  const pools = new Set<UpstreamPool>();
  return {
    open(upstream, timeouts) {
      const pool = openPool(upstream, timeouts);
      pools.add(pool);
      return pool;
    },
    close(pool) {
      pool.dispatcher.close(() => pools.delete(pool));
    },
    async destroy() {
      await Promise.all(Array.from(pools, (pool) => pool.dispatcher.destroy()));
      pools.clear();
    },
  };
}
