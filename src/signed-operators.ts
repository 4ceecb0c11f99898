/**
 * Operators' requests that are signed instead of carrying a key: proven by the identity of the path, with its clock,
 * nonces and origins, and admitted like a call of an agent.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { bodySource, declaredBytes, SIGNATURE_FAILURES } from './gateway/authorise.ts';
import { sendContinue } from './gateway/listener/continue.ts';
import { type RequestTarget, readTarget } from './gateway/listener/target.ts';
import { Refused } from './gateway/refusal.ts';
import type { Identify, SignerChecks } from './operator/access/signed.ts';
import type { DenyList } from './trust/did/deny-list.ts';
import { parseKeyId } from './trust/did/did-url.ts';
import { requestView } from './trust/wire/message.ts';
import { selectSignature } from './trust/wire/signature-input.ts';

type Origin = ReturnType<FastifyInstance['identity']['origin']>;

/** Whose key the request says it is signed with, before anything is looked up for it. */
function claimedDid(target: RequestTarget, rawHeaders: readonly string[], origin: Origin): string | null {
  const view = requestView({ ...origin, method: target.method, target: target.target, rawHeaders });
  const keyId = selectSignature(view)?.params.keyid;
  return keyId === undefined ? null : parseKeyId(keyId).did;
}

/** @throws {Refused} like the path */
async function admit(app: FastifyInstance, address: string, now: () => number): Promise<void> {
  const { allowed, refusal } = await app.admission.admitAddress(address, now());
  if (!allowed && refusal !== null) throw refusal;
}

/**
 * @param addressOf whose failures are counted together
 * @param now milliseconds since the epoch
 * @param denied asked for as long as what the request opened lives
 */
export function identifyOperator(
  app: FastifyInstance,
  addressOf: (request: FastifyRequest) => string,
  now: () => number,
  denied: Pick<DenyList, 'why'>,
): Identify {
  const prove = async (
    request: FastifyRequest,
    res: Parameters<typeof sendContinue>[1],
    checks: SignerChecks,
  ) => {
    const { raw: req } = request;
    const target = readTarget(req);
    const origin = app.identity.origin(target.authority);
    const did = claimedDid(target, req.rawHeaders, origin);
    if (did !== null) checks.claimed(did);
    return app.identity.identify(target, req.rawHeaders, origin, {
      source: bodySource({ req }),
      declaredBytes: declaredBytes({ req }),
      streamed: false,
      // What an operator does twice may be worse than what he cannot do for a while.
      nonceDownPolicy: 'refuse',
      onChecked: () => undefined,
      onIdentified(caller) {
        checks.proven(caller.did, caller.validUntilMs, () => denied.why(caller.did, caller.keyId) !== null);
        sendContinue(req, res);
      },
    });
  };

  return async (request, reply, checks) => {
    const address = addressOf(request);
    await admit(app, address, now);
    try {
      const { body } = await prove(request, reply.raw, checks);
      if (body !== null) reply.raw.once('close', () => app.identity.release(body.length));
      return body;
    } catch (error) {
      const refusal = app.identity.toRefusal(error);
      if (refusal instanceof Refused && SIGNATURE_FAILURES.has(refusal.kind.code))
        app.admission.noteSignatureFailure(address, now());
      throw refusal;
    }
  };
}
