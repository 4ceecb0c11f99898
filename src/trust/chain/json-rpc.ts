/** JSON-RPC 2.0 as both transports speak it: building a batch, and taking its answers apart without trusting them. */
import { ChainError } from './errors.ts';

export interface RpcCall {
  readonly method: string;
  readonly params: readonly unknown[];
}

/** What one call of a batch came to: a node may refuse one (a range too wide, a block unknown) and answer the rest. */
export type RpcAnswer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly code: number; readonly message: string };

/** One connection to one node. */
export interface RpcLink {
  /**
   * One round trip, answers in the order of the calls.
   * @throws ChainError `rpc_unreachable`, `rpc_timeout`, `rpc_bad_answer`, `rpc_too_large`, `rpc_busy`
   */
  batch(calls: readonly RpcCall[]): Promise<RpcAnswer[]>;
  close(): Promise<void>;
}

export interface LinkLimits {
  readonly timeoutMs: number;
  readonly responseBytesMax: number;
}

/**
 * One answer may be this large: 256 headers of a busy chain come to about 4 MB. What is larger is not read, so a
 * node, or an agent with a long history, cannot fill the memory of the gateway.
 */
export const RESPONSE_BYTES_MAX = 16 * 1024 * 1024;

/**
 * A local node answers in 1-5 ms, a hosted one in 50-300; beyond this another one is tried, which still leaves the
 * second one time before a caller that is waiting for a key gives up (3 s).
 */
export const RPC_TIMEOUT_MS = 1_400;

/** Batches waiting at once on one connection. Cold resolutions share flights, so more means a node that hangs. */
export const BATCHES_WAITING_MAX = 256;

/** Longest part of a node's own error text that is kept. */
const NODE_MESSAGE_CHARS_MAX = 200;

/** The body of a batch; the id of a call is its place. */
export function encodeBatch(calls: readonly RpcCall[], firstId: number): string {
  return JSON.stringify(
    calls.map((call, i) => ({ jsonrpc: '2.0', id: firstId + i, method: call.method, params: call.params })),
  );
}

export function parseJson(text: string, node: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ChainError('rpc_bad_answer', { node, detail: 'not JSON', cause });
  }
}

/** One element of an answered batch. */
function parseAnswer(value: unknown): { readonly id: unknown; readonly answer: RpcAnswer } {
  if (typeof value !== 'object' || value === null) {
    throw new ChainError('rpc_bad_answer', { detail: 'an answer is not an object' });
  }
  const { id, result, error } = value as Record<string, unknown>;
  if (error !== undefined && error !== null) {
    const { code, message } = Object(error) as Record<string, unknown>;
    return {
      id,
      answer: {
        ok: false,
        code: typeof code === 'number' ? code : 0,
        message: typeof message === 'string' ? message.slice(0, NODE_MESSAGE_CHARS_MAX) : '',
      },
    };
  }
  if (result === undefined) {
    throw new ChainError('rpc_bad_answer', { detail: 'an answer has neither result nor error' });
  }
  return { id, answer: { ok: true, result } };
}

/** All answers of a batch in the order of its calls. One missing, doubled or unasked makes the whole a bad answer. */
export function parseBatch(value: unknown, count: number, firstId: number, node: string): RpcAnswer[] {
  if (!Array.isArray(value)) {
    const { answer } = parseAnswer(value);
    if (answer.ok) throw new ChainError('rpc_bad_answer', { node, detail: 'a batch got a single answer' });
    throw new ChainError('rpc_refused', { node, detail: answer.message, rpcCode: answer.code });
  }
  const answers = Array.from<unknown, RpcAnswer | undefined>({ length: count }, () => undefined);
  for (const element of value) {
    const { id, answer } = parseAnswer(element);
    const place = typeof id === 'number' ? id - firstId : -1;
    if (!Number.isInteger(place) || place < 0 || place >= count || answers[place] !== undefined) {
      throw new ChainError('rpc_bad_answer', { node, detail: 'an answer that was not asked for' });
    }
    answers[place] = answer;
  }
  if (answers.includes(undefined))
    throw new ChainError('rpc_bad_answer', { node, detail: 'an answer is missing' });
  return answers as RpcAnswer[];
}

/** The result of a call that must succeed. */
export function resultOf(answer: RpcAnswer | undefined, method: string): unknown {
  if (answer === undefined) throw new ChainError('rpc_bad_answer', { detail: `no answer to ${method}` });
  if (!answer.ok) {
    throw new ChainError('rpc_refused', { detail: `${method}: ${answer.message}`, rpcCode: answer.code });
  }
  return answer.result;
}
