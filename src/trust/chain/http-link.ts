/** JSON-RPC over HTTP: one POST a batch, on a few kept connections. */
import { Pool } from 'undici';
import { ChainError, originOf } from './errors.ts';
import {
  BATCHES_WAITING_MAX,
  encodeBatch,
  type LinkLimits,
  parseBatch,
  parseJson,
  type RpcAnswer,
  type RpcCall,
  type RpcLink,
} from './json-rpc.ts';

/** Enough for a burst of cold resolutions; a batch is one request, so more would only queue in the node. */
const CONNECTIONS_MAX = 8;

export function openHttpLink(url: string, limits: LinkLimits): RpcLink {
  const { origin, pathname, search, username, password } = new URL(url);
  const node = originOf(url);
  const pool = new Pool(origin, { connections: CONNECTIONS_MAX, connect: { timeout: limits.timeoutMs } });
  const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'application/json' };
  if (username !== '' || password !== '') {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
  }
  let waiting = 0;

  async function post(body: string): Promise<string> {
    const signal = AbortSignal.timeout(limits.timeoutMs);
    try {
      const answer = await pool.request({ path: pathname + search, method: 'POST', headers, body, signal });
      if (answer.statusCode < 200 || answer.statusCode > 299) {
        // Read to its end, bounded, so that the connection can be used again.
        await answer.body.dump({ limit: 64 * 1024, signal });
        throw new ChainError('rpc_unreachable', { node, detail: `HTTP status ${answer.statusCode}` });
      }
      return await readBounded(answer.body, limits.responseBytesMax, node);
    } catch (cause) {
      if (cause instanceof ChainError) throw cause;
      if (signal.aborted)
        throw new ChainError('rpc_timeout', { node, detail: `${limits.timeoutMs} ms`, cause });
      throw new ChainError('rpc_unreachable', { node, detail: describe(cause), cause });
    }
  }

  return {
    async batch(calls: readonly RpcCall[]): Promise<RpcAnswer[]> {
      if (waiting >= BATCHES_WAITING_MAX) throw new ChainError('rpc_busy', { node });
      waiting += 1;
      try {
        const text = await post(encodeBatch(calls, 0));
        return parseBatch(parseJson(text, node), calls.length, 0, node);
      } finally {
        waiting -= 1;
      }
    },
    // Calls under way fail as unreachable: whoever closes the link has stopped waiting for them.
    close: () => pool.destroy(),
  };
}

async function readBounded(body: AsyncIterable<Buffer>, bytesMax: number, node: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    // Throwing ends the iteration, which destroys the body and its connection.
    if (size > bytesMax)
      throw new ChainError('rpc_too_large', { node, detail: `more than ${bytesMax} bytes` });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString('utf8');
}

/** Node names the errno in `code` where the message is empty (an AggregateError of several addresses). */
function describe(cause: unknown): string {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  return typeof message === 'string' && message !== '' ? message : String(code);
}
