/**
 * The keys of one did:ethr identity, read in one batch. Every identity exists: one that the registry has never heard
 * of is controlled by its own account. So nothing a node leaves out may pass for silence: the contract's own
 * `changed` and `identityOwner` must be what the events lead to.
 */
import { ECDH } from 'node:crypto';
import type { ChainKey } from '../did/ports.ts';
import { addressAt, addressWord, bytesOf, keccak256, uintAt, WORD_BYTES } from './abi.ts';
import { parseBytes } from './blocks.ts';
import { ChainError } from './errors.ts';
import { DID_ATTRIBUTE_CHANGED, DID_DELEGATE_CHANGED, DID_OWNER_CHANGED } from './ethr-events.ts';
import { type EthrIdentity, replayEthr } from './ethr-history.ts';
import { type RpcAnswer, resultOf } from './json-rpc.ts';
import type { Rpc } from './rpc.ts';
import { digestOf, type ReadOptions, readSnapshot, readSteadily, type Witnessed } from './snapshot.ts';

export interface EthrRef extends ReadOptions {
  /** The ERC-1056 registry: 0x and 40 hex digits, lower case. */
  readonly contract: string;
  /** The address of the identity, or its public key (compressed secp256k1), in lower case with 0x. */
  readonly identifier: string;
}

export interface EthrKeys extends Witnessed {
  readonly exists: true;
  readonly deactivated: boolean;
  readonly keys: readonly ChainKey[];
  readonly pending: readonly ChainKey[];
}

/** `identityOwner(address)` and `changed(address)` of ERC-1056. */
const IDENTITY_OWNER = '0x8733d4e8';
const CHANGED = '0xf96d0f9f';

/** The address of an identifier, which may be the public key behind it. @throws RangeError when it is neither */
export function ethrIdentity(identifier: string): EthrIdentity {
  if (identifier.length === 42) return { address: identifier };
  const publicKey = Buffer.from(identifier.slice(2), 'hex');
  let point: Buffer;
  try {
    point = Buffer.from(ECDH.convertKey(publicKey, 'secp256k1') as Buffer);
  } catch (cause) {
    throw new RangeError('the identifier is no point of secp256k1', { cause });
  }
  return { address: `0x${keccak256(point.subarray(1)).slice(-40)}`, publicKey };
}

/**
 * @throws ChainError when the answer is not known: as `readSnapshot` throws, and `rpc_bad_answer` for events that
 * contradict the contract, or when there is none
 */
export async function readEthrKeys(rpc: Pick<Rpc, 'batch'>, ref: EthrRef): Promise<EthrKeys> {
  const identity = ethrIdentity(ref.identifier);
  return await readSteadily(() => readOnce(rpc, ref, identity));
}

async function readOnce(rpc: Pick<Rpc, 'batch'>, ref: EthrRef, identity: EthrIdentity): Promise<EthrKeys> {
  const { contract } = ref;
  const word = addressWord(identity.address);
  const events = [DID_OWNER_CHANGED, DID_DELEGATE_CHANGED, DID_ATTRIBUTE_CHANGED];
  const { head, headTime, safeBlock, states, logs } = await readSnapshot(
    rpc,
    {
      contract,
      calls: [IDENTITY_OWNER + word, CHANGED + word],
      filters: [{ address: contract, topics: [events, `0x${word}`] }],
    },
    ref,
  );
  const owner = addressAt(wordOf(states[0], 'identityOwner'), 0, 'identityOwner');
  const changed = uintAt(wordOf(states[1], 'changed'), 0, 'changed');
  const history = replayEthr(logs, identity, { safeBlock, headTime });
  if (history.owner !== owner || BigInt(history.changed) !== changed) {
    throw new ChainError('rpc_bad_answer', {
      detail: `the events end in block ${history.changed} with owner ${history.owner}, the contract says ${changed} and ${owner}`,
    });
  }
  const { deactivated, keys, pending } = history;
  return {
    exists: true,
    deactivated,
    keys,
    pending,
    blockNumber: head.number,
    blockHash: head.hash,
    headTime,
    safeBlock,
    digest: digestOf(logs, owner),
  };
}

/** No code at the address answers nothing: then nobody knows what was revoked. */
function wordOf(answer: RpcAnswer | undefined, method: string): Buffer {
  const word = bytesOf(parseBytes(resultOf(answer, `eth_call ${method}`), method));
  if (word.length !== WORD_BYTES) {
    throw new ChainError('rpc_bad_answer', { detail: `${method} gave no answer: is that the contract?` });
  }
  return word;
}
