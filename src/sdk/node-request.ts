/** Requests as `node:http` and `node:http2` give them, read without importing either. */
import type { Bytes } from '../trust/wire/bytes.ts';
import { type BodyBounds, gather } from './body.ts';
import { RequestRefused, SdkError } from './errors.ts';
import type { Incoming } from './incoming.ts';

type Listener = (...args: unknown[]) => void;

/** As much of `IncomingMessage` and `Http2ServerRequest` as is used here. */
export interface NodeRequest {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly rawHeaders: string[];
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly httpVersionMajor: number;
  /** Whether all of an HTTP/1.1 message has arrived. */
  readonly complete: boolean;
  readonly readableLength: number;
  readonly readableDidRead: boolean;
  readonly readableEnded: boolean;
  readonly destroyed: boolean;
  /** HTTP/2 only. */
  readonly stream?: { readonly endAfterHeaders?: boolean } | undefined;
  read(): unknown;
  unshift(chunk: Uint8Array): void;
  on(event: string, listener: Listener): unknown;
  off(event: string, listener: Listener): unknown;
}

/**
 * @param target path and query as on the request line: frameworks rewrite `url`
 * @param putBack whether body parsers shall find the body in the request again
 */
export function nodeIncoming(request: NodeRequest, target: string, putBack: boolean): Incoming {
  const { rawHeaders, headers } = request;
  return {
    method: request.method ?? '',
    target,
    rawHeaders,
    authority: fieldOf(rawHeaders, ':authority') ?? fieldOf(rawHeaders, 'host') ?? '',
    hasBody() {
      const follows =
        request.httpVersionMajor >= 2
          ? request.stream?.endAfterHeaders !== true
          : headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
      if (follows && (request.readableDidRead || request.readableEnded)) throw new SdkError('body_consumed');
      return follows;
    },
    read: (bounds) => readNode(request, bounds, putBack),
  };
}

function fieldOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === name) return rawHeaders[at + 1];
  }
  return undefined;
}

function readNode(request: NodeRequest, bounds: BodyBounds, putBack: boolean): Promise<Bytes> {
  const gathering = gather(bounds);
  let release = (): void => undefined;
  const whole = new Promise<Bytes>((resolve, reject) => {
    const onReadable = (): void => {
      try {
        for (let chunk = request.read(); chunk !== null; chunk = request.read()) {
          if (!(chunk instanceof Uint8Array))
            throw new SdkError('body_consumed', 'an encoding was set on it');
          gathering.add(chunk);
        }
      } catch (error) {
        reject(error);
        return;
      }
      // Between the last byte and the `end` event the bytes can be put back; afterwards nobody could read them.
      if (!putBack || !request.complete || request.readableLength > 0) return;
      const bytes = gathering.bytes();
      release();
      if (bytes.length > 0) request.unshift(bytes);
      resolve(bytes);
    };
    const onEnd = (): void => {
      if (putBack) reject(new SdkError('body_consumed'));
      else resolve(gathering.bytes());
    };
    const onGone = (): void => reject(new RequestRefused('body_aborted'));
    release = () => {
      request.off('readable', onReadable);
      request.off('end', onEnd);
      request.off('error', onGone);
      request.off('close', onGone);
    };
    request.on('readable', onReadable);
    request.on('end', onEnd);
    request.on('error', onGone);
    request.on('close', onGone);
    if (request.destroyed) onGone();
  });
  return gathering.inTime(whole).finally(() => {
    release();
    gathering.end();
    // Given up, perhaps: a reset that follows concerns nobody, but must not be an unhandled event.
    request.on('error', () => undefined);
  });
}
