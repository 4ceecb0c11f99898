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
import { parseKeyId } from './trust/did/did-url.ts';
import type { Resolver } from './trust/did/resolver.ts';
import type { KeySource } from './trust/key-source.ts';
import { DEFAULT_PROFILES } from './trust/profiles/profiles.ts';
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
 * Whether the keys of a DID have changed since it was asked first: what an operator opened ends then, and is opened
 * again with a new signature by who still may. Only operators' DIDs are kept, and `sage.yaml` bounds those.
 */
function createChanges(resolver: Pick<Resolver, 'onRevoked' | 'recheck'>): (did: string) => () => boolean {
  const changes = new Map<string, number>();
  let ofAll = 0;
  resolver.onRevoked((did) => {
    if (did === null) ofAll++;
    else if (changes.has(did)) changes.set(did, (changes.get(did) ?? 0) + 1);
  });
  return (did) => {
    if (!changes.has(did)) changes.set(did, 0);
    const [then, allThen] = [changes.get(did), ofAll];
    return () => {
      // Where nobody tells of a change, asking is what makes it heard of: the next question has the answer.
      void resolver.recheck(did);
      return changes.get(did) !== then || (ofAll !== allThen && parseKeyId(did).methodClass === 'chain');
    };
  };
}

/**
 * @param addressOf whose failures are counted together
 * @param now milliseconds since the epoch
 * @param keys asked for as long as what the request opened lives
 */
export function identifyOperator(
  app: FastifyInstance,
  addressOf: (request: FastifyRequest) => string,
  now: () => number,
  { denied, resolver }: Pick<KeySource, 'denied' | 'resolver'>,
): Identify {
  const changesOf = createChanges(resolver);
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
      profiles: DEFAULT_PROFILES,
      onCold() {
        const { allowed, refusal } = app.admission.admitNewCaller(addressOf(request), now());
        if (!allowed && refusal !== null) throw refusal;
      },
      onChecked: () => undefined,
      onIdentified(caller) {
        const { did, keyId, validUntilMs } = caller;
        const changed = changesOf(did);
        checks.proven(did, validUntilMs, () => changed() || denied.why(did, keyId) !== null);
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
