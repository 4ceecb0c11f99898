/** How a request enters the path, and what its delivery is given. */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { DigestCheck } from '../trust/wire/content-digest.ts';
import { WireError } from '../trust/wire/errors.ts';
import { bodySource, type PathTools } from './authorise.ts';
import { PATH_REFUSALS } from './errors.ts';
import { refusedByWire } from './identity/errors.ts';
import { clientAddress, peerAddress, type TrustedProxies } from './listener/client-address.ts';
import { readTarget } from './listener/target.ts';
import { type Answer, createRecord, Passage } from './passage.ts';
import type { DigestProof, Exchange } from './proxy/exchange.ts';
import { Refused } from './refusal.ts';
import type { Random32 } from './trace-context.ts';

export type { Answer };

export interface PathOptions {
  readonly policy: PathTools['policy'];
  readonly regionOf: PathTools['regionOf'];
  readonly trustedProxies: TrustedProxies;
  readonly random: Random32;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** What a refusal looks like to the path, whatever was thrown; what is ours is logged with its stack and told to nobody. */
export function asRefusal(error: unknown, app: FastifyInstance, requestId: string): Refused {
  if (error instanceof Refused) return error;
  app.log.error({ err: error, request_id: requestId }, 'the path failed');
  return new Refused(PATH_REFUSALS.internal_error, { cause: error });
}

/** A streamed body's digest in the proxy's words. */
function proofOf(check: DigestCheck): DigestProof {
  return {
    update: (chunk) => check.update(chunk),
    matches: () => check.matches(),
    mismatch: () => refusedByWire(new WireError('digest_mismatch')),
  };
}

/** What is forwarded: the proven bytes, or the stream itself on an open or streaming route. */
function forwardedBody(passage: Passage): Buffer | Readable | null {
  if (passage.body !== null) return passage.body.length > 0 ? passage.body : null;
  return bodySource(passage);
}

export function exchangeOf(passage: Passage, app: FastifyInstance, options: PathOptions): Exchange {
  const { agent, origin, req, target } = passage;
  if (agent === null || origin === null)
    throw new TypeError('an exchange is made from an authorised passage');
  const peer = peerAddress(req, options.trustedProxies);
  return {
    req,
    res: passage.res,
    transport: target.transport,
    agent,
    upstreamTarget: passage.upstreamTarget,
    caller: passage.caller,
    record: passage.record,
    body: forwardedBody(passage),
    proof: passage.proof === null ? null : proofOf(passage.proof),
    peerAddress: peer.address,
    peerTrusted: peer.trusted,
    scheme: origin.scheme,
    authority: target.authority,
    // The id by which this request stands in the log, and at the agent; an id that the agent answers with is replaced.
    responseHeaders: ['x-request-id', passage.record.requestId, ...passage.responseHeaders],
    isDraining: () => app.drain.draining,
  };
}

export function openPassage(
  request: FastifyRequest,
  res: Passage['res'],
  options: PathOptions,
  websocket: boolean,
  answer: Answer,
): Passage {
  const req = request.raw as Passage['req'];
  const target = readTarget(req);
  const { traceparent } = req.headers;
  const record = createRecord(
    {
      requestId: request.id,
      transport: websocket ? 'websocket' : target.transport,
      method: target.method,
      path: target.path,
      address: clientAddress(req, options.trustedProxies),
      traceparent: typeof traceparent === 'string' ? traceparent : undefined,
      receivedAtMs: options.now(),
      startedAt: performance.now(),
    },
    options.random,
  );
  return new Passage(req, res, target, record, answer);
}
