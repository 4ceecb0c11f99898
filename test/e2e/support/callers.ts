/** Callers with keys, and requests signed by them. */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { base58btc } from 'multiformats/bases/base58';
import { KEY_FLAGS, type KeySlot } from '../../../src/trust/chain/key-slot.ts';
import { encodeDidKey } from '../../../src/trust/did/did-key.ts';
import { agentDid } from '../../../src/trust/did/did-url.ts';
import type { SignatureAlgorithm } from '../../../src/trust/keys/key.ts';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';
import { type Signer, signRequest } from '../../../src/trust/sign-request.ts';
import type { TestAnvil } from '../../support/anvil.ts';
import type { TestChain } from '../../trust/chain/fixture.ts';

export interface Caller {
  readonly did: string;
  readonly signer: Signer;
  readonly privateKey: KeyObject;
}

/** A caller whose key stands in its DID. */
export function newCaller(algorithm: SignatureAlgorithm = 'ed25519'): Caller {
  const { signing, publicJwk, privateJwk } = generateSigningKey(algorithm);
  const did = encodeDidKey(createPublicKey({ key: publicJwk, format: 'jwk' }));
  return {
    did,
    signer: { keyId: `${did}#${did.slice('did:key:'.length)}`, key: signing },
    privateKey: createPrivateKey({ key: privateJwk, format: 'jwk' }),
  };
}

export interface ChainCaller extends Caller {
  readonly agentId: bigint;
}

/** A new key, and the slot that holds its public half. @param notAfter seconds since the epoch; 0 for never */
export function newSlot(notAfter = 0): { slot: KeySlot; key: Signer['key']; privateKey: KeyObject } {
  const { signing, multikey, privateJwk } = generateSigningKey('ed25519');
  return {
    slot: { flags: KEY_FLAGS.authentication, notAfter, multikey: base58btc.decode(multikey as `z${string}`) },
    key: signing,
    privateKey: createPrivateKey({ key: privateJwk, format: 'jwk' }),
  };
}

/** A caller registered by a transaction, its key in slot `key-1`; the key counts after `settle`. */
export async function registerCaller(
  { owner, registry, anvil }: TestChain,
  notAfter = 0,
): Promise<ChainCaller> {
  const { slot, key, privateKey } = newSlot(notAfter);
  const { agentId } = await owner.registerAgent({
    uri: 'https://agents.example/test',
    keys: { 'key-1': slot },
  });
  const did = agentDid(anvil.chainId, registry, agentId);
  return { did, agentId, signer: { keyId: `${did}#key-1`, key }, privateKey };
}

/** New keys count once their block is safe, which here takes one block more. */
export async function settle(anvil: TestAnvil): Promise<void> {
  await anvil.mine(2);
}

export type Fields = readonly (readonly [name: string, value: string])[];

export interface Call {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers?: Fields;
  readonly body?: Uint8Array;
  /** What Host or `:authority` says; by default where the gateway listens. */
  readonly authority?: string;
}

export interface SigningChoices {
  /** Seconds from now. */
  readonly createdIn?: number;
  readonly expiresIn?: number;
  readonly nonce?: string;
  readonly cover?: readonly string[];
}

/** Signs `call` as it would be sent to `origin`. */
export function signed(
  { signer }: Pick<Caller, 'signer'>,
  origin: string,
  call: Call,
  choices: SigningChoices = {},
): Call {
  const now = Math.floor(Date.now() / 1_000);
  const { method, headers = [], body } = call;
  const { cover, expiresIn } = choices;
  const fields = signRequest(
    {
      method,
      url: new URL(call.target, origin),
      headers,
      ...(body === undefined ? {} : { body }),
      ...(cover === undefined ? {} : { cover }),
    },
    signer,
    {
      created: now + (choices.createdIn ?? 0),
      nonce: choices.nonce ?? randomBytes(16).toString('base64url'),
      ...(expiresIn === undefined ? {} : { expires: now + expiresIn }),
    },
  );
  return { ...call, headers: fields };
}
