/**
 * What can go wrong between the gateway and a chain. None of these ever means "that agent does not exist": that is
 * an answer (`exists: false`), while every error here means "not known now", and must not be cached as absence.
 */
const CHAIN_FAULTS = {
  rpc_unreachable: 'the RPC node cannot be reached',
  rpc_timeout: 'the RPC node did not answer in time',
  rpc_bad_answer: 'the RPC node answered something that is not what was asked for',
  rpc_too_large: 'the answer of the RPC node is larger than its bound',
  rpc_refused: 'the RPC node refused the call',
  rpc_stale: 'the RPC node is behind a block that is known already',
  rpc_unconfirmed: 'too few RPC nodes answered to agree',
  rpc_disagreement: 'no two RPC nodes say the same',
  rpc_busy: 'too many calls are waiting for the RPC node',
  chain_mismatch: 'the RPC node serves another chain than the configured one',
  chain_moved: 'the chain was reorganised while it was being read',
  history_too_long: 'the agent has more events than are read for one resolution',
  anvil_missing: 'the local chain could not be started',
  transaction_failed: 'the transaction was not accepted by the chain',
} as const;

type ChainFault = keyof typeof CHAIN_FAULTS;

export interface ChainErrorContext {
  /** What was seen; for the log and the operator, never for a caller. */
  readonly detail?: string;
  /** The node asked, as `originOf` gives it: providers put their API keys into paths and user names. */
  readonly node?: string;
  /** The code of a JSON-RPC error object. */
  readonly rpcCode?: number;
  readonly cause?: unknown;
}

export class ChainError extends Error {
  readonly code: ChainFault;
  readonly node: string | undefined;
  readonly rpcCode: number | undefined;

  constructor(code: ChainFault, context: ChainErrorContext = {}) {
    const where = context.node === undefined ? '' : ` (${context.node})`;
    const detail = context.detail === undefined ? '' : `: ${context.detail}`;
    super(
      `${CHAIN_FAULTS[code]}${where}${detail}`,
      context.cause === undefined ? undefined : { cause: context.cause },
    );
    this.name = 'ChainError';
    this.code = code;
    this.node = context.node;
    this.rpcCode = context.rpcCode;
  }
}

/** True when another node, or the same one a moment later, may well answer. */
export function isNodeFault(error: unknown): error is ChainError {
  return error instanceof ChainError && NODE_FAULTS.has(error.code);
}

const NODE_FAULTS: ReadonlySet<ChainFault> = new Set([
  'rpc_unreachable',
  'rpc_timeout',
  'rpc_bad_answer',
  'rpc_stale',
  'chain_mismatch',
]);

/** Scheme and host of an RPC URL, which is all of it that may be logged. */
export function originOf(url: string): string {
  if (!URL.canParse(url)) return 'an invalid URL';
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}
