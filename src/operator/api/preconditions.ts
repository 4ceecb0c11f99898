/** `ETag` and `If-Match` (RFC 9110, section 13.1.1) over the version of a row. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OperatorError } from '../errors.ts';

export function sendVersion(reply: FastifyReply, version: number): void {
  reply.header('etag', `"${version}"`);
}

/**
 * The version that a change was made from; null when it does not matter: no If-Match, or `*`.
 * @throws OperatorError resource_changed for one that no version of ours has
 */
export function expectedVersion(request: FastifyRequest): number | null {
  const text = request.headers['if-match'];
  if (text === undefined || text === '*') return null;
  const [, version] = /^"(\d{1,15})"$/.exec(text) ?? [];
  if (version === undefined) throw new OperatorError('resource_changed');
  return Number(version);
}
