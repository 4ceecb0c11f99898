/**
 * Parsing at the edge: what a node says about blocks and logs becomes typed here, or a `ChainError('rpc_bad_answer')`.
 * A node is not trusted to filter: whoever asks for logs checks that they are the ones asked for.
 */
import { ChainError } from './errors.ts';

export interface BlockRef {
  readonly number: number;
  /** 0x and 64 lower-case hex digits. */
  readonly hash: string;
}

export interface Header extends BlockRef {
  readonly parentHash: string;
}

export interface ChainLog {
  /** Lower case. */
  readonly address: string;
  readonly topics: readonly string[];
  readonly data: string;
  readonly blockNumber: number;
  readonly blockHash: string;
  readonly logIndex: number;
  /** True when the node withdraws the log because its block was dropped; many nodes never say so. */
  readonly removed: boolean;
}

const QUANTITY = /^0x(?:0|[1-9a-f][0-9a-f]{0,13})$/i;
const HASH = /^0x[0-9a-f]{64}$/i;
const ADDRESS = /^0x[0-9a-f]{40}$/i;
const BYTES = /^0x(?:[0-9a-f]{2})*$/i;

function bad(detail: string): ChainError {
  return new ChainError('rpc_bad_answer', { detail });
}

function members(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad(`${what} is not an object`);
  return value as Record<string, unknown>;
}

function matching(value: unknown, pattern: RegExp, what: string): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw bad(`${what} is malformed`);
  return value.toLowerCase();
}

/** A quantity of the Ethereum JSON-RPC as a number; above 2^53 - 1 it is no block number of this world. */
export function parseQuantity(value: unknown, what: string): number {
  const number = Number(matching(value, QUANTITY, what));
  if (!Number.isSafeInteger(number)) throw bad(`${what} is out of range`);
  return number;
}

export function toQuantity(value: number): string {
  return `0x${value.toString(16)}`;
}

export function parseAddress(value: unknown, what: string): string {
  return matching(value, ADDRESS, what);
}

export function parseBytes(value: unknown, what: string): string {
  return matching(value, BYTES, what);
}

export function parseHeader(value: unknown): Header {
  const block = members(value, 'a block');
  return {
    number: parseQuantity(block.number, 'block.number'),
    hash: matching(block.hash, HASH, 'block.hash'),
    parentHash: matching(block.parentHash, HASH, 'block.parentHash'),
  };
}

/** Of a block, unix seconds. */
export function parseTimestamp(value: unknown): number {
  return parseQuantity(members(value, 'a block').timestamp, 'block.timestamp');
}

export function parseLog(value: unknown): ChainLog {
  const log = members(value, 'a log');
  if (!Array.isArray(log.topics) || log.topics.length > 4) throw bad('log.topics is malformed');
  return {
    address: parseAddress(log.address, 'log.address'),
    topics: log.topics.map((topic) => matching(topic, HASH, 'log.topics')),
    data: parseBytes(log.data, 'log.data'),
    blockNumber: parseQuantity(log.blockNumber, 'log.blockNumber'),
    blockHash: matching(log.blockHash, HASH, 'log.blockHash'),
    logIndex: parseQuantity(log.logIndex, 'log.logIndex'),
    removed: log.removed === true,
  };
}

export function parseLogs(value: unknown): ChainLog[] {
  if (!Array.isArray(value)) throw bad('logs are not a list');
  return value.map(parseLog);
}
