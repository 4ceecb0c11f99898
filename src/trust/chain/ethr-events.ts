/** The events of an ERC-1056 registry, decoded strictly. */
import { addressAt, bytesAt, bytesOf, malformed, uintAt, wordAt } from './abi.ts';
import type { ChainLog } from './blocks.ts';

/** keccak256 of `DIDOwnerChanged(address,address,uint256)`. */
export const DID_OWNER_CHANGED = '0x38a5a6e68f30ed1ab45860a4afb34bcb2fc00f22ca462d249b8a8d40cda6f7a3';
/** keccak256 of `DIDDelegateChanged(address,bytes32,address,uint256,uint256)`. */
export const DID_DELEGATE_CHANGED = '0x5a5084339536bcab65f20799fcc58724588145ca054bd2be626174b27ba156f7';
/** keccak256 of `DIDAttributeChanged(address,bytes32,bytes,uint256,uint256)`. */
export const DID_ATTRIBUTE_CHANGED = '0x18ab6b2ae3d64306c00ce663125f2bd680e441a098de1635bd7ad8b0d44965e4';

interface Change {
  /** Lower case. */
  readonly identity: string;
  /** The block of the identity's change before this one, 0 for the first: what is missing shows. */
  readonly previousChange: bigint;
}

export type EthrEvent =
  | (Change & { readonly kind: 'owner'; readonly owner: string })
  | (Change & {
      readonly kind: 'delegate';
      /** Undefined when it is no text: then it is none of did:ethr's. */
      readonly type: string | undefined;
      readonly delegate: string;
      readonly validTo: bigint;
    })
  | (Change & {
      readonly kind: 'attribute';
      readonly name: string | undefined;
      readonly value: Buffer;
      readonly validTo: bigint;
    });

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * @returns undefined for an event that is none of ERC-1056.
 * @throws ChainError `rpc_bad_answer` when the log is not what its first topic promises
 */
export function decodeEthrEvent(log: ChainLog): EthrEvent | undefined {
  const [event, subject] = log.topics;
  const data = bytesOf(log.data);
  switch (event) {
    case DID_OWNER_CHANGED: {
      const at = 'DIDOwnerChanged';
      const owner = addressAt(data, 0, at);
      return {
        kind: 'owner',
        identity: identityOf(log, subject, at),
        owner,
        previousChange: uintAt(data, 32, at),
      };
    }
    case DID_DELEGATE_CHANGED: {
      const at = 'DIDDelegateChanged';
      return {
        kind: 'delegate',
        identity: identityOf(log, subject, at),
        type: textOf(wordAt(data, 0, at)),
        delegate: addressAt(data, 32, at),
        validTo: uintAt(data, 64, at),
        previousChange: uintAt(data, 96, at),
      };
    }
    case DID_ATTRIBUTE_CHANGED: {
      const at = 'DIDAttributeChanged';
      return {
        kind: 'attribute',
        identity: identityOf(log, subject, at),
        name: textOf(wordAt(data, 0, at)),
        value: bytesAt(data, 0, 32, at),
        validTo: uintAt(data, 64, at),
        previousChange: uintAt(data, 96, at),
      };
    }
    default:
      return undefined;
  }
}

function identityOf(log: ChainLog, topic: string | undefined, what: string): string {
  if (log.topics.length !== 2 || topic === undefined || !/^0x0{24}/.test(topic)) throw malformed(what);
  return `0x${topic.slice(-40)}`;
}

/** A `bytes32` as the text it holds: UTF-8, filled up with zeros. */
function textOf(word: Buffer): string | undefined {
  try {
    return text.decode(word).replace(/\0+$/, '');
  } catch {
    return undefined;
  }
}
