/** What SAGE's AgentCardRegistry answers when it is called: agents and keys as Solidity encodes them. */
import { ECDH } from 'node:crypto';
import type { KeyMaterial } from '../did/key-import.ts';
import {
  bytesAt,
  bytesOf,
  encodeString,
  indexAt,
  keccak256,
  malformed,
  uintAt,
  WORD_BYTES,
  wordAt,
} from './abi.ts';
import { parseBytes } from './blocks.ts';
import { ChainError } from './errors.ts';
import { type RpcAnswer, resultOf } from './json-rpc.ts';
import { KEY_FLAGS } from './key-slot.ts';

export interface CardRecord {
  readonly did: string;
  readonly active: boolean;
  readonly keyHashes: readonly string[];
}

export interface StoredKey {
  readonly keyType: number;
  readonly keyData: Buffer;
  /** False once anybody revoked it: see `card-history.ts`. */
  readonly verified: boolean;
}

/** The registry allows ten. */
const KEYS_MAX = 64;

const NO_AGENT = `0x${'0'.repeat(64)}`;

/** Places of the members of an agent, in bytes. */
const AGENT = { did: 0, keyHashes: 4 * WORD_BYTES, active: 9 * WORD_BYTES } as const;
const KEY = { keyType: 0, keyData: WORD_BYTES, verified: 3 * WORD_BYTES } as const;

export function didToAgentIdCall(did: string): string {
  return `0xf0944df4${encodeString(did)}`;
}

export function getAgentByDidCall(did: string): string {
  return `0xe45d486d${encodeString(did)}`;
}

export function getKeyCall(keyHash: string): string {
  return `0x12aaac70${keyHash.slice(2)}`;
}

/** @returns undefined when the DID is nobody's. */
export function parseAgentId(answer: RpcAnswer | undefined): string | undefined {
  const word = dataOf(answer, 'didToAgentId');
  if (word.length !== WORD_BYTES) throw malformed('didToAgentId');
  const agentId = `0x${word.toString('hex')}`;
  return agentId === NO_AGENT ? undefined : agentId;
}

export function parseAgent(answer: RpcAnswer | undefined): CardRecord {
  const what = 'getAgentByDID';
  const data = dataOf(answer, what);
  const base = baseOf(data, what);
  const list = base + indexAt(data, base + AGENT.keyHashes, what);
  const count = indexAt(data, list, what);
  if (count > KEYS_MAX) throw new ChainError('history_too_long', { detail: `${count} keys` });
  const keyHashes = Array.from(
    { length: count },
    (_, i) => `0x${wordAt(data, list + (1 + i) * WORD_BYTES, what).toString('hex')}`,
  );
  return {
    did: bytesAt(data, base, AGENT.did, what).toString('utf8'),
    active: uintAt(data, base + AGENT.active, what) !== 0n,
    keyHashes,
  };
}

/** @throws ChainError `rpc_bad_answer` for data that is not what `keyHash` is the hash of */
export function parseKey(answer: RpcAnswer | undefined, keyHash: string): StoredKey {
  const what = 'getKey';
  const data = dataOf(answer, what);
  const base = baseOf(data, what);
  const keyData = bytesAt(data, base, KEY.keyData, what);
  if (keccak256(keyData) !== keyHash) throw malformed(what);
  return {
    keyType: Number(uintAt(data, base + KEY.keyType, what)),
    keyData,
    verified: uintAt(data, base + KEY.verified, what) !== 0n,
  };
}

/** @returns undefined when it is no key of that type. */
export function materialOf(
  keyType: number,
  keyData: Buffer,
): { readonly flags: number; readonly material: KeyMaterial } | undefined {
  const { authentication, assertionMethod, keyAgreement } = KEY_FLAGS;
  const multikey = (codec: number, bytes: Uint8Array): KeyMaterial => ({
    kind: 'multikey',
    bytes: Uint8Array.of(codec, 0x01, ...bytes),
  });
  if (keyType === 0) {
    const point = compressed(keyData);
    if (point === undefined) return undefined;
    return { flags: authentication | assertionMethod, material: multikey(0xe7, point) };
  }
  if (keyData.length !== 32) return undefined;
  if (keyType === 1) return { flags: authentication | assertionMethod, material: multikey(0xed, keyData) };
  // Whoever holds an X25519 key can agree on secrets and sign nothing.
  return keyType === 2 ? { flags: keyAgreement, material: multikey(0xec, keyData) } : undefined;
}

/** secp256k1, as SEC 1 writes points or as the two coordinates alone. */
function compressed(keyData: Buffer): Buffer | undefined {
  const point = keyData.length === 64 ? Buffer.concat([Buffer.of(4), keyData]) : keyData;
  try {
    return Buffer.from(ECDH.convertKey(point, 'secp256k1', undefined, undefined, 'compressed') as Buffer);
  } catch {
    return undefined;
  }
}

/** No code at the address answers nothing: then nobody knows what was revoked. */
function dataOf(answer: RpcAnswer | undefined, method: string): Buffer {
  const data = bytesOf(parseBytes(resultOf(answer, `eth_call ${method}`), method));
  if (data.length === 0) {
    throw new ChainError('rpc_bad_answer', { detail: `${method} gave no answer: is that the contract?` });
  }
  return data;
}

/** A struct is one value behind an offset; some deployments answer its members one by one. */
function baseOf(data: Buffer, what: string): number {
  return uintAt(data, 0, what) === BigInt(WORD_BYTES) ? WORD_BYTES : 0;
}
