/**
 * `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a POST that was sent twice acts once. The first
 * answer is kept for a day, by actor, and given again with `idempotency-replayed: true`. Only an answer that tells of an
 * effect (2xx) is kept: what was refused did nothing, and may be sent again with the same key.
 */
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { IdempotencyRows } from '../../store/database.ts';
import { StoreUnavailable } from '../../store/errors.ts';
import { principalOf } from '../access/principal.ts';
import { OperatorError } from '../errors.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Top-level members of the answer that are secrets: a replay says null instead, and they are never stored. */
    secretMembers?: readonly string[];
  }
  interface FastifyRequest {
    /** The key under which this request has begun, until its answer is kept or given up. */
    idempotencyKey: string | null;
  }
}

/** How long an answer is kept: longer than any client retries. */
const TTL_MS = 86_400_000;
const KEY = /^[\x21-\x7e]{1,255}$/;
/** Seconds for Retry-After while the first request runs. */
const RUNNING_RETRY_S = '1';
/** Answers longer than this are not kept; those of our POSTs have a few KiB. */
const ANSWER_LENGTH_MAX = 262_144;
/** Response fields that a replay repeats, besides the body. */
const KEPT_FIELDS = ['content-type', 'location', 'etag'] as const;

interface KeptAnswer {
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

function requestHash(request: FastifyRequest): string {
  return createHash('sha256')
    .update(
      JSON.stringify([
        request.method,
        request.url,
        request.headers['content-type'] ?? '',
        request.body ?? null,
      ]),
    )
    .digest('hex');
}

/** @throws OperatorError request_invalid */
function readKey(request: FastifyRequest): string | null {
  const key = request.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key === 'string' && KEY.test(key)) return key;
  throw new OperatorError('request_invalid', {
    errors: [{ path: 'header/idempotency-key', message: 'must be 1 to 255 visible ASCII characters' }],
  });
}

function withoutSecrets(body: string, members: readonly string[]): string {
  if (members.length === 0) return body;
  const value: unknown = JSON.parse(body);
  if (typeof value !== 'object' || value === null) return body;
  return JSON.stringify({ ...value, ...Object.fromEntries(members.map((member) => [member, null])) });
}

function toKeep(reply: FastifyReply, payload: unknown, secrets: readonly string[]): string | null {
  const { statusCode } = reply;
  if (statusCode < 200 || statusCode > 299) return null;
  if (payload !== undefined && payload !== null && typeof payload !== 'string') return null;
  const fields: Record<string, string> = {};
  for (const name of KEPT_FIELDS) {
    const value = reply.getHeader(name);
    if (typeof value === 'string') fields[name] = value;
  }
  const kept: KeptAnswer = { fields, body: payload ? withoutSecrets(payload, secrets) : '' };
  const text = JSON.stringify(kept);
  return text.length > ANSWER_LENGTH_MAX ? null : text;
}

function replay(reply: FastifyReply, status: number, text: string): FastifyReply {
  // Written by `toKeep`, and the store is ours.
  const { fields, body }: KeptAnswer = JSON.parse(text);
  return reply
    .code(status)
    .headers({ ...fields, 'idempotency-replayed': 'true' })
    .send(body);
}

/** @param rows null where no store is open: a request with a key is then refused, since nothing could be promised */
export function keepAnswers(app: FastifyInstance, rows: IdempotencyRows | null, now: () => number): void {
  app.decorateRequest('idempotencyKey', null);

  app.addHook('preHandler', async (request, reply) => {
    if (request.method !== 'POST') return;
    const key = readKey(request);
    if (key === null) return;
    if (rows === null) throw new StoreUnavailable('none is open');
    const begun = await rows.begin(principalOf(request).actor, key, requestHash(request), now(), TTL_MS);
    switch (begun.state) {
      case 'begun':
        request.idempotencyKey = key;
        return;
      case 'running':
        throw new OperatorError('idempotency_running', { headers: ['retry-after', RUNNING_RETRY_S] });
      case 'other':
        throw new OperatorError('idempotency_key_reused');
      case 'done':
        return replay(reply, begun.status, begun.body);
    }
  });

  // Before the answer leaves, so that whoever has read it and asks again is given it again.
  app.addHook('onSend', async (request, reply, payload) => {
    const key = request.idempotencyKey;
    if (key === null || rows === null) return payload;
    request.idempotencyKey = null;
    const { actor } = principalOf(request);
    const kept = toKeep(reply, payload, request.routeOptions.config.secretMembers ?? []);
    try {
      if (kept === null) await rows.abandon(actor, key);
      else await rows.finish(actor, key, reply.statusCode, kept);
    } catch (error) {
      // The request has had its effect: its answer is owed. A repetition within a minute is answered "running".
      request.log.warn(
        { err: error, reqId: request.id },
        'the answer for an Idempotency-Key could not be kept',
      );
    }
    return payload;
  });
}
