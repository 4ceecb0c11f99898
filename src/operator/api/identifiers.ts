/** DIDs resolved by this gateway's own resolver, as the DID Resolution specification has it (W3C, v0.3, section 10.1). */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { failedResolution, type Resolution, resolveDid } from '../../trust/did/did-resolution.ts';
import type { DidDescription } from '../../trust/did/key-class.ts';

export interface IdentifierPorts {
  /** @throws DidError */
  readonly describe: (did: string) => Promise<DidDescription>;
  /**
   * Null: for operators alone. Else everybody may ask, and this is asked first.
   * @throws what is answered to an address that asks too often
   */
  readonly admitStranger: ((request: FastifyRequest) => void | Promise<void>) | null;
}

const RESULT = 'application/did-resolution';
/** Representations of a document (W3C DID 1.1, and 1.0). They differ in nothing that stands in ours. */
const DOCUMENTS = ['application/did', 'application/did+ld+json', 'application/did+json'] as const;
const NAMES: readonly string[] = [RESULT, ...DOCUMENTS];
const PREFIX = '/1.0/identifiers/';

/** The first media type of `accept` that can be given, by order and not by weight; null when there is none. */
function chosen(accept: string | undefined): string | null {
  if (accept === undefined || accept.trim() === '') return RESULT;
  for (const range of accept.split(',')) {
    const [type = ''] = range.split(';', 1);
    const name = type.trim().toLowerCase();
    if (name === '*/*' || name === 'application/*' || name === 'application/json') return RESULT;
    const found = NAMES.find((known) => known === name);
    if (found !== undefined) return found;
  }
  return null;
}

function answer(reply: FastifyReply, { status, result }: Resolution, mediaType: string): FastifyReply {
  const documentAlone = mediaType !== RESULT && result.didDocument !== null;
  reply.code(status).header('content-type', documentAlone ? mediaType : RESULT);
  // As bytes: to a text a charset would be added, which these media types do not have.
  return reply.send(Buffer.from(JSON.stringify(documentAlone ? result.didDocument : result)));
}

/** `GET /1.0/identifiers/{did}`. Whether there is a guard before it is decided by whoever adds it. */
export function identifierRoutes(app: FastifyInstance, { describe, admitStranger }: IdentifierPorts): void {
  app.get(
    `${PREFIX}*`,
    { config: { scope: 'identifiers:read' } },
    async (request: FastifyRequest<{ Params: { '*': string } }>, reply) => {
      if (admitStranger !== null) await admitStranger(request);
      const mediaType = chosen(request.headers.accept);
      if (mediaType === null) {
        const detail = `${NAMES.join(', ')} can be given`;
        return answer(reply, failedResolution('REPRESENTATION_NOT_SUPPORTED', detail), RESULT);
      }
      return answer(reply, await resolveDid(request.params['*'], describe), mediaType);
    },
  );
}
