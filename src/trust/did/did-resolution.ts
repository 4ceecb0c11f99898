/** What the DID Resolution specification (W3C, v0.3) gives for a DID: a document, and what is to be said of both. */
import { base58btc } from 'multiformats/bases/base58';
import type { DocumentKey } from './document.ts';
import { DidError, type DidErrorCode } from './errors.ts';
import type { DidDescription } from './key-class.ts';

type Members = Readonly<Record<string, unknown>>;

/** Section 4.3; with the names of the errors that its section 10.1 gives a status. */
export interface DidResolutionResult {
  readonly didDocument: Members | null;
  readonly didResolutionMetadata: Members;
  readonly didDocumentMetadata: Members;
}

export interface Resolution {
  readonly result: DidResolutionResult;
  /** Of the HTTP binding, section 10.1. */
  readonly status: 200 | 400 | 404 | 406 | 410 | 500 | 501;
}

type ErrorName =
  | 'INVALID_DID'
  | 'NOT_FOUND'
  | 'METHOD_NOT_SUPPORTED'
  | 'REPRESENTATION_NOT_SUPPORTED'
  | 'INTERNAL_ERROR';

const STATUS_OF = {
  INVALID_DID: 400,
  NOT_FOUND: 404,
  REPRESENTATION_NOT_SUPPORTED: 406,
  INTERNAL_ERROR: 500,
  METHOD_NOT_SUPPORTED: 501,
} as const satisfies Record<ErrorName, number>;

const ERROR_OF: Partial<Record<DidErrorCode, ErrorName>> = {
  did_malformed: 'INVALID_DID',
  did_method_unsupported: 'METHOD_NOT_SUPPORTED',
  did_unknown: 'NOT_FOUND',
};

/** The names that the bits of a key's flags stand for. */
const RELATIONSHIPS = [
  ['authentication', 0x01],
  ['assertionMethod', 0x02],
  ['keyAgreement', 0x04],
] as const;
const CONTEXTS = [
  'https://www.w3.org/ns/did/v1',
  'https://w3id.org/security/multikey/v1',
  'https://w3id.org/security/jwk/v1',
  'https://w3id.org/security/suites/secp256k1recovery-2020/v2',
] as const;

/** @param detail told to whoever asks */
export function failedResolution(name: ErrorName, detail: string): Resolution {
  const error = { type: `https://www.w3.org/ns/did#${name}`, title: titleOf(name), detail };
  const result = { didDocument: null, didResolutionMetadata: { error }, didDocumentMetadata: {} };
  return { result, status: STATUS_OF[name] };
}

/** What `describe` gives, in the words of the specification; errors that are none of ours go on. */
export async function resolveDid(
  did: string,
  describe: (did: string) => Promise<DidDescription>,
): Promise<Resolution> {
  let described: DidDescription;
  try {
    described = await describe(did);
  } catch (error) {
    if (!(error instanceof DidError)) throw error;
    return failedResolution(ERROR_OF[error.code] ?? 'INTERNAL_ERROR', error.message);
  }
  if (!described.exists) return failedResolution('NOT_FOUND', 'whoever has the say knows no such DID');
  const { deactivated, chain } = described;
  const didDocument = described.published ?? writeDocument(described);
  const versionId = chain === null ? {} : { versionId: `${chain.blockNumber}`, blockHash: chain.blockHash };
  const result = {
    didDocument,
    didResolutionMetadata: { contentType: 'application/did' },
    didDocumentMetadata: { ...versionId, ...(deactivated ? { deactivated } : {}) },
  };
  return { result, status: deactivated ? 410 : 200 };
}

function titleOf(name: ErrorName): string {
  const words = name.toLowerCase().replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The document of a DID whose authority keeps keys and no document (W3C DID 1.1; Controlled Identifiers 1.0). */
function writeDocument({ did, keys, chain }: DidDescription): Members {
  const document: Record<string, unknown> = {
    '@context': [...CONTEXTS],
    id: did,
    verificationMethod: keys.map((key) => writeMethod(did, key, chain?.id ?? null)),
  };
  for (const [name, bit] of RELATIONSHIPS) {
    const named = keys.filter(({ flags }) => (flags & bit) !== 0).map(({ fragment }) => `${did}#${fragment}`);
    if (named.length > 0) document[name] = named;
  }
  return document;
}

function writeMethod(
  did: string,
  { fragment, material, validUntilMs }: DocumentKey,
  chainId: number | null,
): Members {
  const expires = Number.isFinite(validUntilMs) ? { expires: new Date(validUntilMs).toISOString() } : {};
  const method = { id: `${did}#${fragment}`, controller: did, ...expires };
  switch (material.kind) {
    case 'multikey':
      return { ...method, type: 'Multikey', publicKeyMultibase: base58btc.encode(material.bytes) };
    case 'jwk':
      return { ...method, type: 'JsonWebKey', publicKeyJwk: material.jwk };
    case 'account': {
      const chain = chainId ?? Number(/^did:pkh:eip155:([0-9]+):/.exec(did)?.[1] ?? 1);
      const blockchainAccountId = `eip155:${chain}:${material.address}`;
      return { ...method, type: 'EcdsaSecp256k1RecoveryMethod2020', blockchainAccountId };
    }
  }
}
