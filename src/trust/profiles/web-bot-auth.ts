/**
 * Web Bot Auth (draft-meunier-web-bot-auth-architecture): signatures tagged `web-bot-auth`, by a key in the directory
 * that the Signature-Agent field names. Who signs so for other verifiers covers little: a request with a safe method and
 * no body may cover what the draft asks for alone; its nonce is spent all the same, so it cannot be replayed here.
 */
import { directoryKeyId, type ParsedKeyId } from '../did/did-url.ts';
import type { SignatureAlgorithm, VerificationKey } from '../keys/key.ts';
import { WireError } from '../wire/errors.ts';
import type { FieldLines, RequestView } from '../wire/message.ts';
import type { Signature } from '../wire/signature-input.ts';
import { isInnerList, parseItem } from '../wire/structured-fields.ts';
import { checkCoverage, mustCover } from '../wire/verify.ts';
import type { Profile } from './profile.ts';

const TAG = 'web-bot-auth';
const FIELD = 'signature-agent';
/** The directory's own text: no shared secrets. */
const ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['ed25519', 'ed25519'],
  ['ecdsa-p256-sha256', 'ecdsa-p256-sha256'],
  ['ecdsa-p384-sha384', 'ecdsa-p384-sha384'],
  ['rsa-pss-sha512', 'rsa-pss-sha512'],
]);

interface Agent {
  readonly url: unknown;
  /** What names it, and must be covered. */
  readonly identifier: string;
  /** Whether covering the field as a whole will do: where it says one thing alone. */
  readonly alone: boolean;
}

/** The member of the field that belongs to the signature, as newer drafts have it, or the field as one string. */
function agentOf(fields: FieldLines, label: string): Agent {
  const value = fields.value(FIELD);
  if (value === undefined) throw new WireError('component_missing', `"${FIELD}"`);
  if (value.startsWith('"')) return { url: parseItem(value).value, identifier: `"${FIELD}"`, alone: true };
  const members = fields.dictionary(FIELD);
  const member = members?.get(label);
  const url = member === undefined || isInnerList(member) ? undefined : member.value;
  return { url, identifier: `"${FIELD}";key="${label}"`, alone: members?.size === 1 };
}

/** @throws {WireError} field_disagrees for anything but the origin of an https URL */
function hostOf(url: unknown): string {
  const text = typeof url === 'string' ? url : '';
  const match = /^https:\/\/([^/?#@\\]+)\/?$/.exec(text);
  if (match === null) throw new WireError('field_disagrees', FIELD);
  return match[1] as string;
}

function keyIdOf(signature: Signature, view: RequestView): ParsedKeyId {
  const { url } = agentOf(view.fields, signature.label);
  return directoryKeyId(hostOf(url), signature.params.keyid ?? '');
}

export const webBotAuth: Profile = {
  name: 'web-bot-auth',
  wants: (_label, { tag }) => tag === TAG,
  time: (operator) => operator,
  check(signature, view, { hasBody, safeMethod }) {
    const { params, covered, label } = signature;
    if (params.expires === undefined) throw new WireError('parameter_missing', 'expires');
    const { identifier, alone } = agentOf(view.fields, label);
    // Labels are not signed: among several members the signature itself must say which is meant.
    if (!alone || !covered.has(`"${FIELD}"`)) mustCover(covered, identifier);
    const forOthers = !hasBody && safeMethod && !view.fields.has('authorization');
    if (!forOthers) return checkCoverage(signature, view, { hasBody });
    for (const name of ['created', 'keyid', 'nonce'] as const)
      if (params[name] === undefined) throw new WireError('parameter_missing', name);
    if (!covered.has('"@target-uri"')) mustCover(covered, '"@authority"');
  },
  algorithms: ALGORITHMS,
  keyId: keyIdOf,
  keyOf: (key: VerificationKey) => (ALGORITHMS.has(key.algorithm) ? key : null),
  signed: (base) => base,
  signature: (bytes) => bytes,
};
