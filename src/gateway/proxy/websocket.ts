/**
 * The WebSocket relay: two sockets, one conversation. Messages keep their kind and their bounds, each side is held back
 * while the other cannot take more, and the code by which one side closes is the code the other one sees.
 */
import type { WebSocket } from 'ws';

/** Who ended it. */
type ClosedBy = 'client' | 'upstream' | 'gateway';

export interface RelayReport {
  /** Bytes of messages that came from the caller. */
  readonly clientBytes: number;
  /** Bytes of messages that came from the agent. */
  readonly upstreamBytes: number;
  /** As the ending side gave it; 1005 for none, 1006 when its connection broke. */
  readonly code: number;
  readonly reason: string;
  readonly by: ClosedBy;
}

export interface RelayOptions {
  readonly client: WebSocket;
  /** Open, and paused since then. */
  readonly upstream: WebSocket;
  /** Bytes that may wait for one side before the other is no longer read; a message that exceeds it is still taken whole. */
  readonly maxBufferedBytes: number;
  /** The largest message this agent takes and gives; never above what the sockets themselves were opened with. */
  readonly maxMessageBytes: number;
  /** A side that has shown no sign of life from one ping to the next is gone. */
  readonly pingIntervalMs: number;
  /** Closed when no message has passed in either direction for this long, looked at with each ping; 0 never. */
  readonly idleTimeoutMs: number;
  readonly onClose: (report: RelayReport) => void;
}

export interface Relay {
  /** Closes both sides at once: nothing that arrives afterwards is passed on. 1008 when a key was revoked. */
  close(code: number, reason: string): void;
}

/** RFC 6455 7.4.1: these stand for what happened and may never be sent in a frame. */
const NO_STATUS = 1005;
const ABNORMAL = 1006;
const GOING_AWAY = 1001;
const TOO_BIG = 1009;
/**
 * What the caller is told when the agent's side breaks. IANA also registers 1014 (bad gateway), but 1011 is the RFC's
 * own code for "an unexpected condition", and every implementation knows it.
 */
const INTERNAL_ERROR = 1011;
/** A close frame carries at most 125 bytes, two of them the code (RFC 6455 5.5). */
const REASON_BYTES_MAX = 123;

interface Side {
  readonly name: 'client' | 'upstream';
  readonly socket: WebSocket;
  bytes: number;
  /** Whether anything was heard since the last ping. */
  alive: boolean;
  /** What waited for this side at the last ping: a slow reader that still drains is no dead one. */
  buffered: number;
  /** Set by a fault in what this side sent, which decides the close codes. */
  fault: number;
}

function side(name: Side['name'], socket: WebSocket): Side {
  return { name, socket, bytes: 0, alive: true, buffered: 0, fault: 0 };
}

/** Cut at a character: a reason must be UTF-8, and a longer one would throw. */
function boundReason(reason: string): string {
  if (Buffer.byteLength(reason) <= REASON_BYTES_MAX) return reason;
  return Buffer.from(reason)
    .subarray(0, REASON_BYTES_MAX)
    .toString('utf8')
    .replace(/\ufffd+$/, '');
}

function closeSide(socket: WebSocket, code: number, reason: string): void {
  // A paused socket would never read the answer to our close frame.
  if (socket.isPaused) socket.resume();
  if (code === NO_STATUS) socket.close();
  else socket.close(code, boundReason(reason));
}

/** The code by which `other` is closed once `ended` has closed with `code`. */
function passedCode(ended: Side, code: number): number {
  if (ended.fault === TOO_BIG) return TOO_BIG;
  // A caller that broke the protocol, or vanished, is for the agent one that went away.
  if (ended.fault !== 0 || code === ABNORMAL) return ended.name === 'client' ? GOING_AWAY : INTERNAL_ERROR;
  return code;
}

function reasonOf(ended: Side, code: number, reason: string): string {
  if (ended.fault === TOO_BIG) return 'message too big';
  if (ended.fault !== 0 || code === ABNORMAL)
    return ended.name === 'client' ? 'the caller went away' : 'the agent went away';
  return reason;
}

/** ws names what was wrong with a frame by these codes (its doc/ws.md, "Error codes"). */
function faultOf(error: Error & { readonly code?: string }): number {
  if (error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' || error.code === 'WS_ERR_TOO_MANY_BUFFERED_PARTS')
    return TOO_BIG;
  return error.code?.startsWith('WS_ERR_') === true ? 1002 : 0;
}

class Pair implements Relay {
  readonly #client: Side;
  readonly #upstream: Side;
  readonly #options: RelayOptions;
  readonly #timer: NodeJS.Timeout;
  /** Resume below this: half, so that a side is not stopped and started for each message. */
  readonly #lowMark: number;
  #ended = false;
  #messagesSinceCheck = true;
  #idleMs = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#lowMark = options.maxBufferedBytes >> 1;
    this.#client = side('client', options.client);
    this.#upstream = side('upstream', options.upstream);
    this.#timer = setInterval(() => this.#check(), options.pingIntervalMs);
    this.#join(this.#client, this.#upstream);
    this.#join(this.#upstream, this.#client);
    // One of them may have closed before we listened; then its own `close` never comes.
    if (options.upstream.readyState !== options.upstream.OPEN) this.#end(this.#upstream, ABNORMAL, '');
    else if (options.client.readyState !== options.client.OPEN) this.#end(this.#client, ABNORMAL, '');
    else options.upstream.resume();
  }

  close(code: number, reason: string): void {
    if (this.#ended) return;
    this.#finish('gateway', code, reason);
    closeSide(this.#client.socket, code, reason);
    closeSide(this.#upstream.socket, code, reason);
  }

  #join(from: Side, to: Side): void {
    const { socket } = from;
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#pass(from, to, data, isBinary));
    // Pings are answered by ws itself: a side asks whether we are there, and we are.
    socket.on('ping', () => {
      from.alive = true;
    });
    socket.on('pong', () => {
      from.alive = true;
    });
    socket.on('error', (error: Error) => {
      from.fault = faultOf(error);
      // ws has sent the close frame that the fault asks for; the other side need not wait for its answer.
      if (from.fault !== 0) this.#end(from, from.fault, error.message);
    });
    socket.on('close', (code: number, reason: Buffer) => this.#end(from, code, reason.toString()));
  }

  #pass(from: Side, to: Side, data: Buffer, binary: boolean): void {
    if (this.#ended) return;
    if (data.length > this.#options.maxMessageBytes) {
      from.fault = TOO_BIG;
      closeSide(from.socket, TOO_BIG, 'message too big');
      this.#end(from, TOO_BIG, 'message too big');
      return;
    }
    from.alive = true;
    from.bytes += data.length;
    this.#messagesSinceCheck = true;
    if (to.socket.bufferedAmount + data.length <= this.#options.maxBufferedBytes) {
      to.socket.send(data, { binary });
      return;
    }
    from.socket.pause();
    to.socket.send(data, { binary }, () => {
      if (!this.#ended && from.socket.isPaused && to.socket.bufferedAmount <= this.#lowMark)
        from.socket.resume();
    });
  }

  #check(): void {
    this.#idleMs = this.#messagesSinceCheck ? 0 : this.#idleMs + this.#options.pingIntervalMs;
    this.#messagesSinceCheck = false;
    const { idleTimeoutMs } = this.#options;
    if (idleTimeoutMs > 0 && this.#idleMs >= idleTimeoutMs) {
      this.close(GOING_AWAY, 'idle');
      return;
    }
    this.#ping(this.#client);
    if (!this.#ended) this.#ping(this.#upstream);
  }

  #ping(one: Side): void {
    const { socket } = one;
    const buffered = socket.bufferedAmount;
    const draining = one.buffered > 0 && buffered < one.buffered;
    one.buffered = buffered;
    // One that is held back cannot be heard; that the other side drains is watched there.
    if (!one.alive && !draining && !socket.isPaused) {
      socket.terminate();
      this.#end(one, ABNORMAL, '');
      return;
    }
    one.alive = false;
    if (socket.readyState === socket.OPEN) socket.ping();
  }

  #end(ended: Side, code: number, reason: string): void {
    if (this.#ended) return;
    const other = ended === this.#client ? this.#upstream : this.#client;
    this.#finish(ended.name, code, reason);
    closeSide(other.socket, passedCode(ended, code), reasonOf(ended, code, reason));
    if (ended.socket.isPaused) ended.socket.resume();
  }

  #finish(by: ClosedBy, code: number, reason: string): void {
    this.#ended = true;
    clearInterval(this.#timer);
    this.#options.onClose({
      clientBytes: this.#client.bytes,
      upstreamBytes: this.#upstream.bytes,
      code,
      reason,
      by,
    });
  }
}

/** Relays of the caller's sockets, so that the drain closes both sides as the gateway's doing. */
const relays = new WeakMap<WebSocket, Relay>();

/** Joins an open caller and an open agent; from here on the relay owns both sockets. */
export function relay(options: RelayOptions): Relay {
  const pair = new Pair(options);
  relays.set(options.client, pair);
  return pair;
}

/** Closes the relay of a caller's socket, or the socket itself when it has none. */
export function closeClient(client: WebSocket, code: number, reason: string): void {
  const pair = relays.get(client);
  if (pair === undefined) client.close(code, reason);
  else pair.close(code, reason);
}
