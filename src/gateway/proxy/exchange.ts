import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Readable } from 'node:stream';
import type { Caller } from '../identity/caller.ts';
import type { RequestRecord } from '../record.ts';
import type { Refused } from '../refusal.ts';
import type { RoutedAgent } from '../routing/instance.ts';

/** What a streamed body must still prove; `trust/wire` makes one from the signed Content-Digest. */
export interface DigestProof {
  update(chunk: Uint8Array): void;
  /** Called once, after the last chunk. */
  matches(): boolean;
  /** The refusal to give when it does not match. */
  mismatch(): Refused;
}

/** One identified, admitted and allowed request on its way to an agent. */
export interface Exchange {
  readonly req: IncomingMessage | Http2ServerRequest;
  readonly res: ServerResponse | Http2ServerResponse;
  readonly transport: 'http/1.1' | 'h2';
  readonly agent: RoutedAgent;
  /** Path and query for the upstream, as `readTarget` left them. */
  readonly upstreamTarget: string;
  /** Null, or without a DID, for a route with `authentication: none`. */
  readonly caller: Caller | null;
  readonly record: RequestRecord;
  /** What is sent on: nothing, bytes already proven, or the request's own stream. */
  readonly body: Buffer | Readable | null;
  /** For a streamed body whose digest is signed; the last chunk is withheld until it matches. */
  readonly proof: DigestProof | null;
  /** The address of the other end of the connection, whoever it claims to speak for. */
  readonly peerAddress: string;
  /** True when that address is one of TRUSTED_PROXIES, whose X-Forwarded-* fields are then continued. */
  readonly peerTrusted: boolean;
  readonly scheme: 'http' | 'https';
  /** What the caller called this gateway: Host or `:authority`, as checked by the listener. */
  readonly authority: string;
  /** Fields of ours for the response, such as RateLimit; flat name, value pairs. They replace the upstream's. */
  readonly responseHeaders: readonly string[];
  /** True once the process drains: the connection is then closed with this response. */
  isDraining(): boolean;
}

/**
 * Called once when an exchange is over. A refusal is given only when nothing was sent to the caller, who is then
 * still to be answered.
 */
export type ExchangeFinished = (exchange: Exchange, refusal: Refused | null) => void;
