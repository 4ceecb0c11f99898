/**
 * Follows one chain and says which agents changed. It holds no connection: each step is handed the `batch` to ask
 * with, so that a step that failed on one node is simply taken again on the next.
 *
 * Nothing is overlooked, because a block only counts as followed once its logs were read by its hash, and each
 * followed block is the parent of the next. When that cannot be had (a reorganisation deeper than the ring, a gap
 * longer than is read), every agent is declared changed by a `reset`: to forget too much costs a few reads, to
 * forget too little lets a revoked key in.
 */

import type { ContractKind } from '../did/ports.ts';
import { type BlockRing, createBlockRing, RING_BLOCKS } from './block-ring.ts';
import { type BlockRef, type ChainLog, type Header, parseHeader, parseLogs } from './blocks.ts';
import {
  AGENT_ACTIVATED,
  AGENT_DEACTIVATED,
  AGENT_DEACTIVATED_BY_HASH,
  AGENT_REGISTERED,
  KEY_ADDED,
  KEY_REVOKED,
} from './card-events.ts';
import { type ChangeReporter, createChangeReporter, type RegistryChange } from './changes.ts';
import { ChainError } from './errors.ts';
import { DID_ATTRIBUTE_CHANGED, DID_DELEGATE_CHANGED, DID_OWNER_CHANGED } from './ethr-events.ts';
import { METADATA_SET, REGISTERED, TRANSFER } from './events.ts';
import { fetchHeaders, getBlockCall } from './headers.ts';
import { type RpcAnswer, resultOf } from './json-rpc.ts';
import { type Batch, getLogsCall, getLogsInRange, type LogFilter } from './log-range.ts';
import { type Finality, parseSafe } from './snapshot.ts';

export interface FollowedRegistry {
  readonly address: string;
  /** `erc8004` when left out. */
  readonly kind?: ContractKind;
  /** Where to begin without a checkpoint: the block of deployment, to hear of everything that ever happened. */
  readonly fromBlock?: number;
}

export interface FollowerOptions {
  readonly registries: readonly FollowedRegistry[];
  readonly finality: Finality;
  /** The block up to which an earlier run has followed, if that is known. */
  readonly loadCheckpoint: () => Promise<BlockRef | undefined> | BlockRef | undefined;
  /**
   * Whether a head below what was followed may be another chain's, as when a development chain is restarted. Where it may
   * not, the node lags, and nothing is vouched for until it has caught up.
   */
  readonly mayBeginAnew: boolean;
  readonly onChanged: (change: RegistryChange) => void;
  /** A block has been followed: its changes are all reported. */
  readonly onTip: (tip: BlockRef) => void;
}

export interface Follower {
  readonly filter: LogFilter;
  tip(): BlockRef | undefined;
  /** Of a block that was followed and is remembered. */
  hashOf(number: number): string | undefined;
  safeBlock(): number;
  /** Number of the last head a node spoke of. */
  announced(): number;
  /** That head is one that was followed before the present one: its node lags, and no chain has begun anew. */
  lags(): boolean;
  /** Asks for the head and follows the chain to it, from wherever the last step ended. */
  poll(batch: Batch): Promise<void>;
  /** Follows the chain to a head that the node has announced. */
  advance(batch: Batch, head: Header): Promise<void>;
  /** Reports what a subscription tells before its block is followed: the shortest way from a revocation to a purge. */
  hear(log: ChainLog): void;
  /** What was followed is believed no longer: the next step begins anew at whatever head there is, with a reset. */
  forget(): void;
}

/** The events that concern keys. */
const EVENTS: Readonly<Record<ContractKind, readonly string[]>> = {
  erc8004: [METADATA_SET, TRANSFER, REGISTERED],
  ethr: [DID_OWNER_CHANGED, DID_DELEGATE_CHANGED, DID_ATTRIBUTE_CHANGED],
  'agent-card': [
    AGENT_REGISTERED,
    KEY_ADDED,
    KEY_REVOKED,
    AGENT_ACTIVATED,
    AGENT_DEACTIVATED_BY_HASH,
    AGENT_DEACTIVATED,
  ],
};

/** After so long an absence everything is read anew instead: that is cheaper, and says the same. */
const BACKFILL_BLOCKS_MAX = 100_000;
const BACKFILL_LIMITS = { callsMax: 128, logsMax: 50_000 };

/** How nodes say that they do not have a block by its hash: it is gone again. Any other refusal is one. */
const UNKNOWN_BLOCK = /unknown|not (?:be )?found|missing/i;

/** Blocks whose logs are asked for in one batch. */
const BLOCKS_PER_BATCH = 32;
/** By how much fewer after too large an answer. Each costs a connection, and no revocation is heard until the next. */
const FEWER = 8;

interface Following {
  readonly options: FollowerOptions;
  readonly filter: LogFilter;
  readonly ring: BlockRing;
  readonly report: ChangeReporter;
  safeBlock: number;
  announced: BlockRef;
  forgotten: boolean;
  /** Fewer once their logs were too many for one answer, until such blocks are behind. */
  blocksPerBatch: number;
  /** A block whose logs alone were too many. */
  unreadable: string | undefined;
}

export function createFollower(options: FollowerOptions): Follower {
  const kinds = new Map(
    options.registries.map(({ address, kind = 'erc8004' }) => [address.toLowerCase(), kind] as const),
  );
  const report = createChangeReporter(kinds, options.onChanged);
  const events = [...new Set(kinds.values())].flatMap((kind) => EVENTS[kind]);
  const following: Following = {
    options,
    filter: { address: [...kinds.keys()], topics: [events] },
    ring: createBlockRing(),
    report,
    safeBlock: -1,
    announced: { number: 0, hash: '' },
    forgotten: false,
    blocksPerBatch: BLOCKS_PER_BATCH,
    unreadable: undefined,
  };
  return {
    filter: following.filter,
    tip: () => following.ring.tip(),
    hashOf: (number) => following.ring.hashOf(number),
    safeBlock: () => following.safeBlock,
    announced: () => following.announced.number,
    lags() {
      const { announced, ring } = following;
      return announced.number < (ring.tip()?.number ?? 0) && ring.hashOf(announced.number) === announced.hash;
    },
    async poll(batch) {
      const head = await readHead(following, batch);
      await follow(following, batch, head);
      report.becameSafe(following.safeBlock, following.ring.tip() ?? head);
    },
    async advance(batch, head) {
      following.announced = head;
      await follow(following, batch, head);
    },
    hear: (log) => report.hear(log),
    forget() {
      following.forgotten = true;
    },
  };
}

async function readHead(following: Following, batch: Batch): Promise<Header> {
  const [latest, safe] = await batch([getBlockCall('latest'), getBlockCall('safe')]);
  const head = parseHeader(resultOf(latest, 'eth_getBlockByNumber latest'));
  following.announced = head;
  following.safeBlock = safeBelow(head, safe, following.options.finality);
  return head;
}

async function follow(following: Following, batch: Batch, head: Header): Promise<void> {
  const { ring, options, report } = following;
  const tip = ring.tip();
  if (tip === undefined) return resume(following, batch, await options.loadCheckpoint());
  if (following.forgotten) return resume(following, batch, undefined);
  // A head that was followed already: the node repeats itself, or lags behind what another one showed. One below
  // all that is remembered lags even more, unless the chain began anew; whoever tries the nodes finds out which.
  if (ring.hashOf(head.number) === head.hash || head.number < ring.lowest()) return;
  if (head.number - tip.number > RING_BLOCKS) return resume(following, batch, tip);
  const path = await pathTo(ring, batch, head);
  if (path === undefined) return resume(following, batch, undefined);
  for (const block of ring.dropAbove((path[0] as Header).number - 1)) report.dropped(block);
  for (let i = 0; i < path.length; ) {
    const part = path.slice(i, i + following.blocksPerBatch);
    await takeBlocks(following, batch, part);
    i += part.length;
  }
  following.blocksPerBatch = BLOCKS_PER_BATCH;
}

/** The blocks from the first that is not in the ring up to `head`; undefined when they part below the ring. */
async function pathTo(ring: BlockRing, batch: Batch, head: Header): Promise<Header[] | undefined> {
  let path = [head];
  for (let step = 1; ; step *= 2) {
    const first = path[0] as Header;
    const below = first.number - 1;
    // A step may reach the fork exactly, or go past it into blocks that still stand; those are cut off below.
    if (ring.hashOf(below) === first.parentHash || ring.hashOf(first.number) === first.hash) break;
    if (below < ring.lowest()) return undefined;
    const gap = below - (ring.tip() as BlockRef).number;
    const from = Math.max(ring.lowest(), below + 1 - Math.max(gap, step));
    path = [...(await fetchHeaders(batch, from, below, first.parentHash)), ...path];
  }
  return path.slice(path.findIndex((header) => ring.hashOf(header.number) !== header.hash));
}

/**
 * @throws ChainError `rpc_too_large`, and fewer are asked for the next time: what carried the answer may be gone with it. Of
 * one block alone whose logs are too many it is then said that anybody may have changed in it.
 */
async function takeBlocks(following: Following, batch: Batch, headers: readonly Header[]): Promise<void> {
  const read = headers.filter(({ hash }) => hash !== following.unreadable);
  const answers = await readLogs(following, batch, read);
  const logsOf = new Map(read.map((header, i) => [header.hash, answers[i]]));
  for (const header of headers) {
    if (header.hash === following.unreadable) {
      passOver(following, [header]);
      continue;
    }
    const answer = logsOf.get(header.hash);
    if (answer?.ok === false && UNKNOWN_BLOCK.test(answer.message)) {
      throw new ChainError('chain_moved', { detail: answer.message });
    }
    const logs = parseLogs(resultOf(answer, 'eth_getLogs'));
    assertOfBlock(logs, header);
    takeBlock(following, header, logs);
  }
  const last = headers.at(-1) as Header;
  following.safeBlock = safeBelow(last, answers.at(-1), following.options.finality);
  following.report.becameSafe(following.safeBlock, last);
  following.options.onTip(last);
}

/** The logs of each block, and the safe block last. */
async function readLogs(
  following: Following,
  batch: Batch,
  headers: readonly Header[],
): Promise<RpcAnswer[]> {
  const calls = headers.map(({ hash }) => getLogsCall(following.filter, { blockHash: hash }));
  try {
    return await batch([...calls, getBlockCall('safe')]);
  } catch (error) {
    if (!(error instanceof ChainError) || error.code !== 'rpc_too_large') throw error;
    const [first] = headers;
    if (headers.length > 1) following.blocksPerBatch = Math.ceil(headers.length / FEWER);
    else following.unreadable = first?.hash;
    throw error;
  }
}

function takeBlock({ ring, report }: Following, header: Header, logs: readonly ChainLog[]): void {
  ring.push({ number: header.number, hash: header.hash, agents: report.block(header, logs) });
}

/** Of blocks whose logs nobody can be given: whom they touched is not known, now or when they turn out not to stand. */
function passOver({ ring, report }: Following, headers: readonly Header[]): void {
  for (const { number, hash } of headers) ring.push({ number, hash, agents: undefined });
  report.unread(headers.at(-1) as Header);
}

/** Begins anew at the head, reporting what happened since `known`, or that nobody can say what did. */
async function resume(following: Following, batch: Batch, known: BlockRef | undefined): Promise<void> {
  const { ring, report, filter, options } = following;
  const head = await readHead(following, batch);
  const { safeBlock } = following;
  const lowest = Math.max(0, head.number - RING_BLOCKS + 1, Math.min(safeBlock, head.number));
  const headers = await fetchHeaders(batch, lowest, head.number, head.hash);
  const begin = await beginningAfter(following, batch, head, known);
  // What is not safe yet is read again, to know which keys are still waiting for it.
  const from = Math.min(begin ?? lowest, lowest, safeBlock < 0 ? lowest : safeBlock + 1);
  const whole = begin !== undefined && head.number - from < BACKFILL_BLOCKS_MAX;
  const found = await logsSince(filter, batch, whole ? [from, lowest] : [lowest], head.number);
  const byBlock = Map.groupBy(found?.logs ?? [], (log) => log.blockNumber);
  for (const header of headers) assertOfBlock(byBlock.get(header.number) ?? [], header);
  ring.dropAbove(-1);
  following.forgotten = false;
  if (found === undefined) passOver(following, headers);
  else {
    if (!whole || found.start !== from) report.reset(head);
    const older = found.logs.filter((log) => log.blockNumber < lowest);
    report.block({ number: lowest - 1, hash: '' }, older);
    for (const header of headers) takeBlock(following, header, byBlock.get(header.number) ?? []);
  }
  report.becameSafe(safeBlock, head);
  options.onTip(head);
}

/**
 * What happened from the first of `starts` that can be read from. Undefined when the logs are too many whatever range is
 * asked for; a socket, which ends with the answer that is too large, says so of all that comes after it.
 */
async function logsSince(
  filter: LogFilter,
  batch: Batch,
  starts: readonly number[],
  to: number,
): Promise<{ readonly start: number; readonly logs: readonly ChainLog[] } | undefined> {
  let tooLarge = false;
  const noting: Batch = (calls) =>
    batch(calls).catch((error: unknown) => {
      tooLarge ||= isTooLarge(error);
      throw error;
    });
  let failure: unknown;
  for (const start of starts) {
    try {
      return { start, logs: await getLogsInRange(noting, filter, start, to, BACKFILL_LIMITS) };
    } catch (error) {
      if (!isTooMuch(error)) throw error;
      tooLarge ||= isTooLarge(error);
      failure = error;
    }
  }
  // A node that only refuses may be another's to replace; logs that are too many are so at each of them.
  if (!tooLarge) throw failure;
  return undefined;
}

/**
 * The first block whose events were not reported yet; undefined when there is no telling.
 * @throws ChainError `rpc_stale` for a node that lags behind an earlier run
 */
async function beginningAfter(
  { ring, options }: Following,
  batch: Batch,
  head: Header,
  known: BlockRef | undefined,
): Promise<number | undefined> {
  if (known === undefined) {
    if (ring.tip() !== undefined) return undefined;
    const starts = options.registries.map((registry) => registry.fromBlock);
    return starts.includes(undefined) ? undefined : Math.min(...(starts as number[]), head.number);
  }
  if (known.number > head.number) {
    if (options.mayBeginAnew) return undefined;
    throw new ChainError('rpc_stale', {
      detail: `block ${head.number}, followed before was ${known.number}`,
    });
  }
  const [answer] = await batch([getBlockCall(known.number)]);
  const block = resultOf(answer, 'eth_getBlockByNumber');
  return block !== null && parseHeader(block).hash === known.hash ? known.number + 1 : undefined;
}

function safeBelow(head: BlockRef, answer: RpcAnswer | undefined, finality: Finality): number {
  return finality === 'safe' ? parseSafe(answer, head) : Math.max(-1, head.number - finality.confirmations);
}

function assertOfBlock(logs: readonly ChainLog[], header: Header): void {
  for (const log of logs) {
    if (log.blockHash !== header.hash)
      throw new ChainError('chain_moved', { detail: 'a log of another block' });
  }
}

/** For one answer, or for us. */
function isTooLarge(error: unknown): boolean {
  return error instanceof ChainError && (error.code === 'rpc_too_large' || error.code === 'history_too_long');
}

function isTooMuch(error: unknown): boolean {
  return isTooLarge(error) || (error instanceof ChainError && error.code === 'rpc_refused');
}
