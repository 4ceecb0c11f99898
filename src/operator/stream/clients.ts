/**
 * Who reads the stream. A client that comes with a cursor is first told what it missed, as fast as it reads and no
 * faster; once it has caught up, each event is sent when it happens, and who does not read them is let go rather than
 * kept in memory. Either way a client costs a bounded number of bytes, and slows nobody else down.
 */
import type { WebSocket } from 'ws';
import type { Principal } from '../access/principal.ts';
import type { Feed } from './feed.ts';
import type { CloseReason, StreamCounts } from './stream-metrics.ts';

/** A dashboard or two for each of an operations team, several times over. */
const CLIENTS_MAX = 100;
/** Bytes that may wait for a client which has caught up; it is closed beyond. */
const BUFFERED_BYTES_MAX = 1_048_576;
/** Bytes that wait for one that catches up; the rest stays in the ring, which all share. */
const CATCH_UP_BYTES = 262_144;
/** How long a revoked credential may go on reading. */
const CHECK_EVERY_MS = 1_000;
/** Proxies forget a silent connection after a minute at the earliest. */
const PING_EVERY_MS = 30_000;

/** RFC 6455, section 7.4.1, and the IANA registry: 1013 is "try again later". */
const CLOSE_CODES: Readonly<Record<Exclude<CloseReason, 'silent'>, readonly [number, string]>> = {
  slow: [1013, 'too slow: resume from the last id'],
  credential: [1008, 'the credential is no longer valid'],
  shutdown: [1001, 'the gateway is shutting down'],
};

export interface ClientRequest {
  readonly principal: Principal;
  /** Null: from now on. */
  readonly cursor: string | null;
  /** Null: all of them. */
  readonly types: ReadonlySet<string> | null;
}

export interface ClientsOptions {
  readonly feed: Feed;
  readonly counts: StreamCounts;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Milliseconds; for tests, which have less patience. */
  readonly pingEveryMs?: number;
  readonly checkEveryMs?: number;
}

export interface StreamClients {
  /** False while there is no room for another, and from the moment it is closed. */
  readonly open: boolean;
  add(socket: WebSocket, request: ClientRequest): void;
  /** Tells every client that the gateway goes away, and takes no more. */
  close(): void;
}

interface Client {
  readonly socket: WebSocket;
  readonly principal: Principal;
  /** Answered the last ping. */
  alive: boolean;
  /** Sends what is new, to one that has caught up; the others come to it by themselves. */
  tell(): void;
  end(reason: Exclude<CloseReason, 'silent'>): void;
}

function createClient(
  socket: WebSocket,
  { principal, cursor, types }: ClientRequest,
  { feed: { ring }, counts, now }: ClientsOptions,
): Client {
  let next = ring.last + 1;
  let live = false;
  let ended = false;

  const end: Client['end'] = (reason) => {
    if (ended) return;
    ended = true;
    counts.closed[reason]++;
    socket.close(...CLOSE_CODES[reason]);
  };
  const sendGap = (missedAfter: string): void => {
    const at = new Date(now()).toISOString();
    socket.send(JSON.stringify({ type: 'gap', at, data: { missed_after: missedAfter } }));
  };
  /** False when as much waits as may. */
  const sendUpTo = (bytesMax: number, sent?: () => void): boolean => {
    while (next <= ring.last) {
      if (next < ring.first) {
        sendGap(ring.idOf(next - 1));
        next = ring.first;
      }
      if (socket.bufferedAmount > bytesMax) return false;
      const event = ring.get(next++);
      if (event === undefined || !(types?.has(event.type) ?? true)) continue;
      socket.send(event.text, sent);
    }
    return true;
  };
  const catchUp = (): void => {
    // Called for each text that has left; most of them find that there is nothing to do.
    if (live || ended || socket.readyState !== socket.OPEN) return;
    live = sendUpTo(CATCH_UP_BYTES, catchUp);
  };

  if (cursor !== null) {
    const after = ring.after(cursor);
    if (after === null) sendGap(cursor);
    next = after ?? ring.first;
  }
  catchUp();
  return {
    socket,
    principal,
    alive: true,
    tell() {
      if (!live || ended || socket.readyState !== socket.OPEN) return;
      if (!sendUpTo(BUFFERED_BYTES_MAX) || socket.bufferedAmount > BUFFERED_BYTES_MAX) end('slow');
    },
    end,
  };
}

export function openClients(options: ClientsOptions): StreamClients {
  const { feed, counts, now } = options;
  const clients = new Set<Client>();
  let closed = false;

  feed.onAppended(() => {
    for (const client of clients) client.tell();
  });
  const checking = setInterval(() => {
    const nowMs = now();
    for (const client of clients) if (!client.principal.stands(nowMs)) client.end('credential');
  }, options.checkEveryMs ?? CHECK_EVERY_MS);
  const pinging = setInterval(() => {
    for (const client of clients) {
      if (client.alive) {
        client.alive = false;
        client.socket.ping();
        continue;
      }
      counts.closed.silent++;
      client.socket.terminate();
    }
  }, options.pingEveryMs ?? PING_EVERY_MS);

  return {
    get open() {
      return !closed && clients.size < CLIENTS_MAX;
    },
    add(socket, request) {
      const client = createClient(socket, request, options);
      clients.add(client);
      counts.clients = clients.size;
      socket.on('pong', () => {
        client.alive = true;
      });
      // What a client sends is bounded and read by nobody; an error closes its socket by itself.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clients.delete(client);
        counts.clients = clients.size;
      });
    },
    close() {
      if (closed) return;
      closed = true;
      clearInterval(checking);
      clearInterval(pinging);
      for (const client of clients) client.end('shutdown');
    },
  };
}
