/** Bodies, read to their end within bounds: a signature covers a body by its digest, and a digest needs all of it. */
import type { Bytes } from '../trust/wire/bytes.ts';
import { RequestRefused } from './errors.ts';

/** What one server may hold of bodies that are not proven yet. */
export interface BodyBudget {
  readonly totalBytes: number;
  heldBytes: number;
}

export interface BodyBounds {
  readonly maxBytes: number;
  /** Longest time for the whole body, in milliseconds: a byte at a time must not hold a place for ever. */
  readonly timeoutMs: number;
  readonly budget: BodyBudget;
  /** Gives up as well. */
  readonly signal?: AbortSignal;
}

const NOTHING: Bytes = new Uint8Array(0);

/**
 * Reads a stream to its end.
 * @throws {RequestRefused} body_too_large, body_memory_exhausted, body_timeout, body_aborted
 */
export async function readStream(
  stream: ReadableStream<Uint8Array>,
  bounds: BodyBounds,
  first?: Uint8Array,
): Promise<Bytes> {
  const reader = stream.getReader();
  const gathering = gather(bounds);
  try {
    if (first !== undefined) gathering.add(first);
    for (;;) {
      const { done, value } = await gathering.inTime(reader.read());
      if (done) return gathering.bytes();
      gathering.add(value);
    }
  } catch (error) {
    // Not awaited: a stream that hangs may hang here too.
    reader.cancel().catch(() => undefined);
    throw error instanceof RequestRefused
      ? error
      : new RequestRefused('body_aborted', undefined, { cause: error });
  } finally {
    gathering.end();
  }
}

/**
 * The body of a `Request`, or null when it has none.
 * @throws {RequestRefused} as `readStream` does
 */
export async function readRequestBody(
  request: Request,
  bounds: BodyBounds,
  first?: Uint8Array,
): Promise<Bytes | null> {
  const stream: ReadableStream<Uint8Array> | null | undefined = request.body;
  if (stream !== undefined) return stream === null ? null : readStream(stream, bounds, first);
  // Firefox has no `Request.body`. What it made itself is in memory already; it is only to be bounded.
  const bytes = new Uint8Array(await request.arrayBuffer());
  if (bytes.length > bounds.maxBytes)
    throw new RequestRefused('body_too_large', `more than ${bounds.maxBytes} bytes`);
  return bytes.length === 0 ? null : bytes;
}

/**
 * Chunks joined into one as they come. A chunk of one byte takes some hundreds to hold, which the budget does not count: a
 * body sent byte by byte would take hundreds of times its length.
 */
const CHUNKS_JOINED = 256;

export interface Gathering {
  /** @throws {RequestRefused} body_too_large, body_memory_exhausted */
  add(chunk: Uint8Array): void;
  bytes(): Bytes;
  /** The step, or body_timeout once the whole body has taken too long. */
  inTime<T>(step: Promise<T>): Promise<T>;
  /** Gives back timer and budget; must be called however it ends. */
  end(): void;
}

/** One body on its way in, by whatever kind of stream. */
export function gather({ maxBytes, timeoutMs, budget, signal }: BodyBounds): Gathering {
  const whole: Uint8Array[] = [];
  let chunks: Uint8Array[] = [];
  let length = 0;
  let onTimeout: (error: RequestRefused) => void;
  const onAbort = (): void => onTimeout(new RequestRefused('body_aborted'));
  const late = new Promise<never>((_resolve, reject) => {
    onTimeout = reject;
  });
  // Nobody may be waiting when it comes.
  late.catch(() => undefined);
  signal?.addEventListener('abort', onAbort);
  const timer = setTimeout(() => onTimeout(new RequestRefused('body_timeout')), timeoutMs);
  return {
    add(chunk) {
      length += chunk.length;
      budget.heldBytes += chunk.length;
      if (length > maxBytes) throw new RequestRefused('body_too_large', `more than ${maxBytes} bytes`);
      if (budget.heldBytes > budget.totalBytes) throw new RequestRefused('body_memory_exhausted');
      if (chunks.push(chunk) < CHUNKS_JOINED) return;
      whole.push(joined(chunks));
      chunks = [];
    },
    bytes: () => joined([...whole, ...chunks]),
    inTime: (step) => Promise.race([step, late]),
    end() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      budget.heldBytes -= length;
      length = 0;
    },
  };
}

function joined(chunks: readonly Uint8Array[]): Bytes {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (length === 0) return NOTHING;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
