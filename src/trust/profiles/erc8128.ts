/**
 * ERC-8128: requests signed by an Ethereum account, over the signature base as EIP-191 prefixes it. Bound to the request
 * and used once: what the ERC calls class-bound or replayable is not accepted, nor are contract accounts (ERC-1271),
 * which only their chain can answer for.
 */
import { type ParsedKeyId, parseKeyId } from '../did/did-url.ts';
import { DidError } from '../did/errors.ts';
import type { Bytes } from '../wire/bytes.ts';
import { latin1Bytes } from '../wire/bytes.ts';
import { WireError } from '../wire/errors.ts';
import { checkCoverage } from '../wire/verify.ts';
import type { Profile } from './profile.ts';

const KEYID_PREFIX = 'erc8128:';
/** EIP-191, version 0x45. */
const PERSONAL_MESSAGE = '\x19Ethereum Signed Message:\n';

/** The account as a DID: an externally owned account is one on every chain, so the chain is told and not believed. */
function accountOf(keyid: string): ParsedKeyId {
  const match = /^erc8128:([1-9][0-9]{0,14}):(0x[0-9a-fA-F]{40})$/.exec(keyid);
  if (match === null) throw new DidError('did_malformed', 'keyid must read erc8128:<chainId>:<address>');
  return parseKeyId(`did:pkh:eip155:${match[1]}:${match[2]?.toLowerCase()}`);
}

function personalMessage(base: Bytes): Bytes {
  const prefix = latin1Bytes(`${PERSONAL_MESSAGE}${base.length}`);
  const message = new Uint8Array(prefix.length + base.length);
  message.set(prefix);
  message.set(base, prefix.length);
  return message;
}

export const erc8128: Profile = {
  name: 'erc8128',
  wants: (_label, { keyid }) => keyid?.startsWith(KEYID_PREFIX) === true,
  time: (operator) => operator,
  check(signature, view, { hasBody }) {
    if (signature.params.expires === undefined) throw new WireError('parameter_missing', 'expires');
    checkCoverage(signature, view, { hasBody });
  },
  // The key id says how the account signs; there is nothing left for `alg` to say.
  algorithms: new Map(),
  keyId: ({ params }) => accountOf(params.keyid ?? ''),
  keyOf: (key) => key.keccak ?? null,
  signed: personalMessage,
  signature: (bytes) => bytes,
};
