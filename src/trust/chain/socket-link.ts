/** JSON-RPC over a WebSocket of our own: calls and subscriptions on one connection that never reconnects by itself. */
import WebSocket from 'ws';
import { ChainError, originOf } from './errors.ts';
import {
  BATCHES_WAITING_MAX,
  encodeBatch,
  type LinkLimits,
  parseBatch,
  parseJson,
  type RpcAnswer,
  type RpcLink,
} from './json-rpc.ts';

export interface SocketEvents {
  /**
   * The `params.result` of an `eth_subscription`. Told apart by its shape, since the first may come in the same
   * tick as the answer that names its subscription. What it throws ends the connection.
   */
  onNotification(result: unknown): void;
  /** Called once, with the reason, however the connection ended. */
  onClosed(reason: ChainError): void;
}

interface Waiting {
  readonly count: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (answers: RpcAnswer[]) => void;
  readonly reject: (error: Error) => void;
}

/** @throws ChainError `rpc_unreachable` or `rpc_timeout` when the connection does not open. */
export async function openSocketLink(
  url: string,
  limits: LinkLimits,
  events: SocketEvents,
): Promise<RpcLink> {
  const node = originOf(url);
  const socket = await connect(url, limits, node);
  const waiting = new Map<number, Waiting>();
  let nextId = 1;
  let ended: ChainError | undefined;

  function end(reason: ChainError): void {
    if (ended !== undefined) return;
    ended = reason;
    socket.terminate();
    for (const call of waiting.values()) {
      clearTimeout(call.timer);
      call.reject(reason);
    }
    waiting.clear();
    events.onClosed(reason);
  }

  function receive(text: string): void {
    const message = parseJson(text, node);
    const notice = notificationOf(message);
    if (notice !== undefined) events.onNotification(notice.result);
    else settle(message);
  }

  /** A batch is answered as a list whose ids are consecutive; the lowest names the batch. */
  function settle(message: unknown): void {
    const first = lowestId(message);
    const call = first === undefined ? undefined : waiting.get(first);
    // An answer that came after its timeout has no one waiting; anything else unasked is not worth more.
    if (first === undefined || call === undefined) return;
    waiting.delete(first);
    clearTimeout(call.timer);
    try {
      call.resolve(parseBatch(message, call.count, first, node));
    } catch (error) {
      call.reject(error as Error);
    }
  }

  socket.on('message', (data) => {
    try {
      // `binaryType` is the default, so a message is one Buffer.
      receive((data as Buffer).toString('utf8'));
    } catch (cause) {
      end(cause instanceof ChainError ? cause : new ChainError('rpc_bad_answer', { node, cause }));
    }
  });
  socket.on('error', (cause) => {
    const code = (cause as { code?: unknown }).code;
    const fault = code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'rpc_too_large' : 'rpc_unreachable';
    end(new ChainError(fault, { node, detail: cause.message, cause }));
  });
  socket.on('close', (code) =>
    end(new ChainError('rpc_unreachable', { node, detail: `closed with ${code}` })),
  );

  return {
    batch(calls) {
      return new Promise((resolve, reject) => {
        if (ended !== undefined) return reject(ended);
        if (waiting.size >= BATCHES_WAITING_MAX) return reject(new ChainError('rpc_busy', { node }));
        const id = nextId;
        nextId += calls.length;
        const timer = setTimeout(() => {
          waiting.delete(id);
          reject(new ChainError('rpc_timeout', { node, detail: `${limits.timeoutMs} ms` }));
        }, limits.timeoutMs);
        waiting.set(id, { count: calls.length, timer, resolve, reject });
        // A failed write also ends the socket, which rejects everything that waits.
        socket.send(encodeBatch(calls, id));
      });
    },
    close() {
      end(new ChainError('rpc_unreachable', { node, detail: 'closed by this side' }));
      return Promise.resolve();
    },
  };
}

function connect(url: string, limits: LinkLimits, node: string): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      handshakeTimeout: limits.timeoutMs,
      maxPayload: limits.responseBytesMax,
      perMessageDeflate: false,
    });
    const failed = (cause: Error): void => {
      const late = cause.message.includes('handshake has timed out');
      reject(
        new ChainError(late ? 'rpc_timeout' : 'rpc_unreachable', { node, detail: cause.message, cause }),
      );
    };
    socket.once('error', failed);
    socket.once('open', () => {
      socket.off('error', failed);
      resolve(socket);
    });
  });
}

function notificationOf(message: unknown): { readonly result: unknown } | undefined {
  if (typeof message !== 'object' || message === null || !('method' in message)) return undefined;
  const { method, params } = message as { method: unknown; params?: unknown };
  if (method !== 'eth_subscription' || typeof params !== 'object' || params === null) return undefined;
  return { result: (params as { result?: unknown }).result };
}

function lowestId(message: unknown): number | undefined {
  let lowest: number | undefined;
  for (const element of Array.isArray(message) ? message : [message]) {
    const id = (Object(element) as { id?: unknown }).id;
    if (typeof id === 'number' && (lowest === undefined || id < lowest)) lowest = id;
  }
  return lowest;
}
