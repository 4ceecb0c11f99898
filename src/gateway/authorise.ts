/**
 * The checks of the path, in their order, for every transport: the address, the agent, the caller, the caller's limit,
 * the policy. Each step is a plain function that answers at once when it can.
 */
import type { Readable } from 'node:stream';
import type { Registry } from '../agents/registry.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { type Decision, decide } from '../policy/decide.ts';
import type { Admission, Verdict } from './admission/admission.ts';
import { PATH_REFUSALS } from './errors.ts';
import type { Caller } from './identity/caller.ts';
import type { Identified } from './identity/identify.ts';
import type { Identity } from './identity/plugin.ts';
import { isHttp2 } from './listener/target.ts';
import type { Passage } from './passage.ts';
import { PolicyView } from './policy-view.ts';
import type { OpenExchanges } from './proxy/open-exchanges.ts';
import { Refused } from './refusal.ts';
import { ROUTING_REFUSALS } from './routing/errors.ts';
import type { Instance } from './routing/instance.ts';
import { readRoute } from './routing/route.ts';

export interface PathTools {
  readonly admission: Admission;
  readonly identity: Identity;
  readonly agents: Registry<Instance>;
  readonly exchanges: OpenExchanges;
  readonly policy: { current(): CompiledPolicy };
  readonly regionOf: (address: string) => string | null;
  readonly sendContinue: (passage: Passage) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The caller of a route with `authentication: none`. */
const NOBODY: Caller = Object.freeze({
  did: '',
  keyId: '',
  keyThumbprint: '',
  method: 'none',
  algorithm: null,
  profile: null,
  covered: new Set<string>(),
  validUntilMs: Number.POSITIVE_INFINITY,
});

/** Refusals that are evidence against an address: somebody there signs what does not verify. */
export const SIGNATURE_FAILURES: ReadonlySet<string> = new Set(['signature_invalid', 'digest_mismatch']);

/** Counts a refusal against the address it came from, when it is evidence. */
export function noteFailure({ record }: Passage, tools: PathTools, refusal: Refused): void {
  if (SIGNATURE_FAILURES.has(refusal.kind.code))
    tools.admission.noteSignatureFailure(record.address, tools.now());
}

/** The request's body as a stream, or null when it has none (RFC 9112, section 6.3; RFC 9113, section 8.1). */
export function bodySource({ req }: Pick<Passage, 'req'>): Readable | null {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers;
  if (length !== undefined) return length === '0' ? null : req;
  if (isHttp2(req)) return req.stream.endAfterHeaders ? null : req;
  return coding === undefined ? null : req;
}

export function declaredBytes({ req }: Pick<Passage, 'req'>): number | null {
  const text = req.headers['content-length'];
  return text === undefined ? null : Number(text);
}

function admit(verdict: Verdict): void {
  if (!verdict.allowed && verdict.refusal !== null) throw verdict.refusal;
}

async function identifyCaller(passage: Passage, tools: PathTools): Promise<void> {
  const { target, record, agent } = passage;
  if (agent === null || passage.origin === null)
    throw new TypeError('the agent is routed before the caller is identified');
  const { definition } = agent;
  const source = bodySource(passage);
  let identified: Identified | Promise<Identified> = tools.identity.identify(
    target,
    passage.req.rawHeaders,
    passage.origin,
    {
      source,
      declaredBytes: declaredBytes(passage),
      streamed: definition.body === 'stream',
      nonceDownPolicy: definition.onNonceStoreDown,
      profiles: definition.profiles,
      onCold: () => admit(tools.admission.admitNewCaller(record.address, tools.now())),
      onChecked(verifyMicroseconds) {
        record.verifyMicroseconds = verifyMicroseconds;
      },
      onIdentified(caller) {
        passage.caller = caller;
        record.caller = caller;
        tools.exchanges.add(passage);
        if (source === null) return;
        // Who may not do this has no body waited for, nor memory spent on it; the answer that counts is asked for below.
        if (askPolicy(passage, tools).effect === 'deny') decideByPolicy(passage, tools);
        tools.sendContinue(passage);
      },
    },
  );
  if (identified instanceof Promise) identified = await identified;
  passage.body = identified.body;
  passage.proof = identified.proof;
  let verdict = tools.admission.admitCaller(identified.caller.did, tools.now());
  if (verdict instanceof Promise) verdict = await verdict;
  admit(verdict);
  // Told with every answer, so that a caller can slow down in time; an address's limit is told only when it is reached.
  passage.responseHeaders = verdict.headers;
}

function askPolicy(passage: Passage, tools: PathTools): Decision {
  const { record, caller, target } = passage;
  const view = new PolicyView(
    caller,
    target.method,
    passage.policyPath,
    record.address,
    target.rawHeaders,
    tools.regionOf,
  );
  return decide(tools.policy.current(), view, tools.now());
}

/** @throws {Refused} policy_denied */
function decideByPolicy(passage: Passage, tools: PathTools): void {
  const { record } = passage;
  const decision = askPolicy(passage, tools);
  record.decidedAt = performance.now();
  record.ruleId = decision.ruleId;
  record.effect = decision.effect;
  record.policyRevision = tools.policy.current().revision;
  record.shadowRules = decision.shadow;
  if (decision.effect === 'deny') {
    throw new Refused(PATH_REFUSALS.policy_denied, {
      explanation: `rule ${decision.ruleId}: ${decision.reason}`,
      evidence: { rule: decision.ruleId },
    });
  }
}

/**
 * Carries a request through every check up to delivery; `passage` then knows its agent, caller and body.
 * @throws {Refused} with the refusal to answer with; other errors are ours.
 */
export async function authorise(passage: Passage, tools: PathTools): Promise<void> {
  const { record, target } = passage;
  const admitted = tools.admission.admitAddress(record.address, tools.now());
  admit(admitted instanceof Promise ? await admitted : admitted);
  const route = readRoute(target.target);
  passage.upstreamTarget = route.upstream;
  passage.policyPath = route.policyPath;
  const agent = tools.agents.get(route.agentId);
  if (agent === undefined) throw new Refused(ROUTING_REFUSALS.agent_unknown);
  passage.agent = agent;
  record.agentId = agent.definition.id;
  passage.origin = tools.identity.origin(target.authority);
  if (agent.definition.authentication === 'none') {
    passage.caller = NOBODY;
    record.caller = NOBODY;
    tools.sendContinue(passage);
  } else {
    try {
      await identifyCaller(passage, tools);
    } catch (error) {
      const refusal = tools.identity.toRefusal(error);
      if (refusal instanceof Refused) noteFailure(passage, tools, refusal);
      throw refusal;
    }
    // A reload while the caller was identified has closed the instances of the agent as it was.
    const current = tools.agents.get(route.agentId);
    if (current === undefined) throw new Refused(ROUTING_REFUSALS.agent_unknown);
    passage.agent = current;
  }
  record.identifiedAt = performance.now();
  decideByPolicy(passage, tools);
}
