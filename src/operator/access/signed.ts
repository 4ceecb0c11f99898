/**
 * Requests signed by a DID of `operators` in `sage.yaml` (RFC 9421), under the rules that hold for agents' calls: the same
 * components, clock, nonces and origins, and a body is proven before anything acts on it. The list is read for each
 * request, so that a changed file counts at once.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { OperatorError } from '../errors.ts';
import type { CheckSignature } from './guard.ts';
import { type Principal, type Role, scopesFor } from './principal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The body of a signed request, read and proven; null when there is none or it was not signed. */
    provenBody: Buffer | null;
  }
}

export interface SignerChecks {
  /** Told whose key the request names, before anything is looked up for it; throws to refuse. */
  claimed(did: string): void;
  /**
   * Told who has signed, before the body is waited for; throws to refuse.
   * @param validUntilMs of the key
   * @param withdrawn whether the DID's keys have changed since, or an operator has denied it or its key
   */
  proven(did: string, validUntilMs: number, withdrawn: () => boolean): void;
}

/** Proves a signed request. @returns its proven body, or null when it has none @throws an error with a `kind` */
export type Identify = (
  request: FastifyRequest,
  reply: FastifyReply,
  checks: SignerChecks,
) => Promise<Buffer | null>;

export interface Operator {
  readonly did: string;
  readonly role: Role;
}

export function signedBy(identify: Identify, operators: () => readonly Operator[]): CheckSignature {
  const roleOf = (did: string): Role | null =>
    operators().find((operator) => operator.did === did)?.role ?? null;

  const principalFor = (did: string, validUntilMs: number, withdrawn: () => boolean): Principal => {
    const role = roleOf(did);
    if (role === null) throw new OperatorError('operator_unauthenticated');
    return {
      actor: did,
      method: 'did',
      role,
      scopes: scopesFor(role, null),
      expiresAtMs: validUntilMs,
      stands: (nowMs) => nowMs < validUntilMs && roleOf(did) === role && !withdrawn(),
    };
  };

  return async (request, reply, admit) => {
    let principal: Principal | null = null;
    request.provenBody = await identify(request, reply, {
      // A stranger must not be able to make the gateway look up documents.
      claimed(did) {
        if (roleOf(did) === null) throw new OperatorError('operator_unauthenticated');
      },
      proven(did, validUntilMs, withdrawn) {
        principal = principalFor(did, validUntilMs, withdrawn);
        admit(principal);
      },
    });
    if (principal === null) throw new TypeError('a request was identified and nobody proven');
    return principal;
  };
}

/** Hands the proven bytes to the body's parser: those that were on the wire have been read. */
export function parseProvenBodies(app: FastifyInstance): void {
  app.decorateRequest('provenBody', null);
  app.addHook('preParsing', async (request, _reply, payload) =>
    request.provenBody === null ? payload : Readable.from([request.provenBody]),
  );
}
