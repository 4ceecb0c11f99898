/** The caller's side of an exchange: the same few verbs over HTTP/1.1 and HTTP/2. */
import type { ServerResponse } from 'node:http';
import { constants, type Http2ServerResponse, type ServerHttp2Stream } from 'node:http2';
import type { Exchange } from './exchange.ts';
import type { UpstreamHeaders } from './response-headers.ts';

export interface Client {
  /** True once a final status was handed over; from then on only `reset` can tell of a failure. */
  readonly headSent: boolean;
  /** True when nothing written can arrive any more. */
  readonly gone: boolean;
  /** Whether a response with a body could end in trailers. */
  readonly trailersPossible: boolean;
  onClose(listener: () => void): void;
  /** Calls once when more may be written. */
  onDrain(listener: () => void): void;
  /** Passes a 1xx on where the protocol has a way to. */
  inform(status: number, headers: UpstreamHeaders): void;
  /** @throws when Node refuses a field; nothing was sent then */
  head(status: number, fields: string[], contentLength: number): void;
  /** Sends the head now; an event stream may say nothing for minutes. */
  flush(): void;
  /** False when the caller reads too slowly: wait for `onDrain`. */
  write(chunk: Buffer): boolean;
  end(chunk: Buffer | null, trailers: Record<string, string | string[]> | null): void;
  /** Ends so that a truncated body cannot be taken for a whole one. */
  reset(): void;
}

/** Bodies up to this many bytes go to Node as a string: it joins one with the head and writes both at once. */
const JOINED_LENGTH_MAX = 8_192;

class Http1Client implements Client {
  readonly trailersPossible: boolean;
  readonly #res: ServerResponse;
  readonly #exchange: Exchange;

  constructor(res: ServerResponse, exchange: Exchange) {
    this.#res = res;
    this.#exchange = exchange;
    // Chunked coding, and with it trailers, came with HTTP/1.1.
    this.trailersPossible = exchange.req.httpVersionMinor > 0;
  }

  get headSent(): boolean {
    return this.#res.headersSent;
  }

  get gone(): boolean {
    return this.#res.destroyed;
  }

  onClose(listener: () => void): void {
    // Of the response, not the request: once the body is read, the request's may never fire.
    this.#res.on('close', listener);
  }

  onDrain(listener: () => void): void {
    this.#res.once('drain', listener);
  }

  inform(status: number, headers: UpstreamHeaders): void {
    // HTTP/1.0 has no interim responses (RFC 9110, section 15.2).
    if (!this.trailersPossible || this.#res.headersSent) return;
    const fields: Record<string, string | string[]> = {};
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && name !== 'connection' && name !== 'transfer-encoding') fields[name] = value;
    }
    this.#res.writeInformation(status, fields);
  }

  head(status: number, fields: string[]): void {
    if (this.#exchange.isDraining()) fields.push('connection', 'close');
    this.#res.writeHead(status, fields);
  }

  flush(): void {
    this.#res.flushHeaders();
  }

  write(chunk: Buffer): boolean {
    return this.#res.write(chunk);
  }

  end(chunk: Buffer | null, trailers: Record<string, string | string[]> | null): void {
    if (trailers !== null && this.trailersPossible) this.#res.addTrailers(trailers as Record<string, string>);
    if (chunk === null) this.#res.end();
    else if (chunk.length > JOINED_LENGTH_MAX) this.#res.end(chunk);
    else this.#res.end(chunk.toString('latin1'), 'latin1');
  }

  reset(): void {
    const { socket } = this.#res;
    // A FIN would end a body without length cleanly (HTTP/1.0); TLS says it by the missing close_notify.
    if (socket !== null && !socket.destroyed && !('encrypted' in socket)) socket.resetAndDestroy();
    else this.#res.destroy();
  }
}

/**
 * Waiting for trailers costs a frame, but lets `reset` end a stream without END_STREAM: Node ends the writable side first,
 * and only the trailers still to come keep that from looking like a whole body. A short body of stated length needs
 * neither: it has no trailers, and a caller sees by the length that it was cut (RFC 9113, section 8.1.1).
 */
const H2_PLAIN_LENGTH_MAX = 65_536;

class Http2Client implements Client {
  readonly trailersPossible = true;
  readonly #res: Http2ServerResponse;
  readonly #stream: ServerHttp2Stream;

  constructor(res: Http2ServerResponse) {
    this.#res = res;
    // The stream takes a flat array as it is; the compatibility layer would build an object from it first.
    this.#stream = res.stream as ServerHttp2Stream;
  }

  get headSent(): boolean {
    return this.#stream.headersSent;
  }

  get gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  onClose(listener: () => void): void {
    this.#stream.on('close', listener);
  }

  onDrain(listener: () => void): void {
    this.#stream.once('drain', listener);
  }

  inform(status: number, headers: UpstreamHeaders): void {
    if (this.#stream.headersSent || this.gone) return;
    const fields: Record<string, string | string[] | number> = { ':status': status };
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && name !== 'connection' && name !== 'transfer-encoding') fields[name] = value;
    }
    this.#stream.additionalHeaders(fields);
  }

  head(status: number, fields: string[], contentLength: number): void {
    const withStatus = [':status', String(status), ...fields];
    const waitForTrailers = contentLength < 0 || contentLength > H2_PLAIN_LENGTH_MAX;
    this.#stream.respond(withStatus as unknown as Record<string, string>, { waitForTrailers });
  }

  flush(): void {
    // `respond` has sent the head already.
  }

  write(chunk: Buffer): boolean {
    return this.#stream.write(chunk);
  }

  end(chunk: Buffer | null, trailers: Record<string, string | string[]> | null): void {
    // The compatibility layer answers `wantTrailers` on this stream, with what was added here.
    if (trailers !== null) this.#res.addTrailers(trailers as Record<string, string>);
    if (chunk === null) this.#stream.end();
    else this.#stream.end(chunk);
  }

  reset(): void {
    if (!this.gone) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

export function clientOf(exchange: Exchange): Client {
  if (exchange.transport === 'h2') return new Http2Client(exchange.res as Http2ServerResponse);
  return new Http1Client(exchange.res as ServerResponse, exchange);
}
