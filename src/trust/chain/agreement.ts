/**
 * What several nodes say alike. With one URL its node is believed; with more, two of at most three that are asked at
 * once must have read the same events, and one alone decides nothing: it can neither hide a revocation, nor add a
 * key, nor hold everybody back at an old block.
 *
 * Each node is first asked at its own head, which is one round trip. Nodes that differ are asked again at one block,
 * by its hash: what they then still see differently is a disagreement, and is told. An answer is given as soon as two
 * agree; who comes later is compared behind its back.
 */
import type { BlockRef } from './blocks.ts';
import { ChainError, isNodeFault, originOf } from './errors.ts';
import { createRpc, type Rpc } from './rpc.ts';
import type { Witnessed } from './snapshot.ts';

/** @param at the block to read at; the node's own head when left out */
export type Reading<T extends Witnessed> = (rpc: Pick<Rpc, 'batch'>, at?: BlockRef) => Promise<T>;

export interface Disagreement {
  /** Scheme and host of the node that stands alone. */
  readonly node: string;
  readonly blockNumber: number;
  readonly why: string;
}

export interface NodeRecord {
  readonly node: string;
  readonly disagreements: number;
  /** Milliseconds since the epoch; 0 when there was none. */
  readonly disagreedAtMs: number;
}

export interface ChainReads {
  /**
   * @throws ChainError as the reading does; `rpc_unconfirmed` when fewer than two of several nodes answer,
   * `rpc_disagreement` when no two of them agree
   */
  read<T extends Witnessed>(reading: Reading<T>): Promise<T>;
  /** One for each URL; none where there is nobody to disagree with. */
  nodes(): readonly NodeRecord[];
  close(): Promise<void>;
}

export interface ReadsOptions {
  readonly urls: readonly string[];
  readonly chainId: number;
  readonly timeoutMs?: number;
  readonly onDisagreement: (disagreement: Disagreement) => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Nodes asked for one answer: two that agree, and one that may be away or lie. */
const ASKED_MAX = 3;
const AGREEING_MIN = 2;

/** A node that failed or stood alone is asked after the others for this long, where there are more than are asked. */
const SHUNNED_MS = 30_000;

/** How far apart two heads may be, in seconds of chain time: two slots of Ethereum. What is older is not the present. */
const HEAD_LAG_SECONDS_MAX = 30;

interface Node {
  readonly name: string;
  readonly rpc: Rpc;
  shunnedUntilMs: number;
  disagreements: number;
  disagreedAtMs: number;
}

interface Answer<T> {
  readonly node: Node;
  readonly value: T;
}

/** @throws ChainError `rpc_unreachable` for an unusable list of URLs. */
export function createReads(options: ReadsOptions): ChainReads {
  const { urls, chainId, timeoutMs } = options;
  const nodes: Node[] = urls.map((url) => ({
    name: originOf(url),
    rpc: createRpc({ urls: [url], chainId, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
    shunnedUntilMs: 0,
    disagreements: 0,
    disagreedAtMs: 0,
  }));
  const [only] = nodes;
  if (only === undefined) throw new ChainError('rpc_unreachable', { detail: 'no RPC URL is configured' });
  return {
    read: (reading) =>
      nodes.length === 1 ? reading(only.rpc) : new Inquiry(reading, nodes, options).answer(),
    nodes: () =>
      nodes.length === 1
        ? []
        : nodes.map(({ name, disagreements, disagreedAtMs }) => ({
            node: name,
            disagreements,
            disagreedAtMs,
          })),
    async close() {
      await Promise.all(nodes.map(({ rpc }) => rpc.close()));
    },
  };
}

/** One question to several nodes. */
class Inquiry<T extends Witnessed> {
  readonly #reading: Reading<T>;
  readonly #options: ReadsOptions;
  /** Not asked yet, in the order in which they will be. */
  readonly #others: Node[];
  readonly #answers: Answer<T>[] = [];
  #failure: unknown;
  #agreed: T | undefined;

  constructor(reading: Reading<T>, nodes: readonly Node[], options: ReadsOptions) {
    const nowMs = options.now();
    this.#reading = reading;
    this.#options = options;
    this.#others = nodes.toSorted(
      (a, b) => Number(a.shunnedUntilMs > nowMs) - Number(b.shunnedUntilMs > nowMs),
    );
  }

  async answer(): Promise<T> {
    const decided = Promise.withResolvers<T | undefined>();
    const asked = this.#others.splice(0, ASKED_MAX).map((node) => this.#ask(node, decided.resolve));
    void Promise.all(asked).then(() => decided.resolve(undefined), decided.reject);
    return (await decided.promise) ?? (await this.#askAgain());
  }

  /** Settles once the node, or the one that takes its place, has been heard. */
  async #ask(node: Node, decide: (value: T) => void): Promise<void> {
    let value: T;
    try {
      value = await this.#reading(node.rpc);
    } catch (error) {
      this.#failed(node, error);
      const next = this.#agreed === undefined ? this.#others.shift() : undefined;
      if (next !== undefined) await this.#ask(next, decide);
      return;
    }
    const answer = { node, value };
    if (this.#agreed !== undefined) {
      await this.#compare(answer, this.#agreed);
      return;
    }
    this.#answers.push(answer);
    const peer = this.#answers.find((other) => other !== answer && agree(other.value, value));
    if (peer === undefined) return;
    const agreed = warier(peer.value, value);
    this.#agreed = agreed;
    decide(agreed);
    const rest = this.#answers.filter((other) => other !== answer && other !== peer);
    await Promise.all(rest.map((other) => this.#compare(other, agreed)));
  }

  /** No two were alike, which may be the weather: heads differ by a block while something changes. */
  async #askAgain(): Promise<T> {
    const answers = this.#answers.toSorted((a, b) => b.value.blockNumber - a.value.blockNumber);
    if (answers.length < AGREEING_MIN) {
      if (answers.length === 0) throw this.#failure;
      const detail = 'of the nodes that are named, one alone answered';
      throw new ChainError('rpc_unconfirmed', { detail, cause: this.#failure });
    }
    const earliest = presentOf(answers) - HEAD_LAG_SECONDS_MAX;
    // The highest block that two nodes should have, then whatever else was claimed to be one.
    const [highest, second, ...lower] = answers as [Answer<T>, Answer<T>, ...Answer<T>[]];
    for (const { value } of [second, highest, ...lower]) {
      const at = { number: value.blockNumber, hash: value.blockHash };
      const outcomes = await Promise.all(answers.map(({ node }) => this.#readAt(node, at)));
      const read = outcomes.filter((outcome) => 'value' in outcome);
      for (const one of read) {
        const peer = read.find((other) => other !== one && agree(other.value, one.value));
        if (peer === undefined) continue;
        const agreed = warier(one.value, peer.value);
        if (Math.min(one.value.headTime, peer.value.headTime) < earliest) continue;
        for (const outcome of outcomes) this.#judge(outcome, agreed);
        return agreed;
      }
    }
    for (const { node, value } of answers)
      this.#stoodAlone(node, value.blockNumber, 'no other node says the same');
    throw new ChainError('rpc_disagreement', { detail: answers.map(({ node }) => node.name).join(', ') });
  }

  async #compare({ node, value }: Answer<T>, agreed: T): Promise<void> {
    if (value.digest === agreed.digest && !isOtherBranch(value, agreed)) return;
    this.#judge(await this.#readAt(node, { number: agreed.blockNumber, hash: agreed.blockHash }), agreed);
  }

  async #readAt(
    node: Node,
    at: BlockRef,
  ): Promise<Answer<T> | { readonly node: Node; readonly error: unknown }> {
    try {
      return { node, value: await this.#reading(node.rpc, at) };
    } catch (error) {
      return { node, error };
    }
  }

  #judge(outcome: Answer<T> | { readonly node: Node; readonly error: unknown }, agreed: T): void {
    const { node } = outcome;
    if ('error' in outcome) this.#failed(node, outcome.error, agreed.blockNumber);
    else if (outcome.value.digest !== agreed.digest)
      this.#stoodAlone(node, agreed.blockNumber, 'it tells other events');
  }

  #failed(node: Node, error: unknown, blockNumber = 0): void {
    this.#failure ??= error;
    if (!(error instanceof ChainError)) return;
    if (error.code === 'rpc_bad_answer' || error.code === 'chain_moved')
      this.#stoodAlone(node, blockNumber, error.message);
    else if (isNodeFault(error)) node.shunnedUntilMs = this.#options.now() + SHUNNED_MS;
  }

  #stoodAlone(node: Node, blockNumber: number, why: string): void {
    const nowMs = this.#options.now();
    node.shunnedUntilMs = nowMs + SHUNNED_MS;
    node.disagreements += 1;
    node.disagreedAtMs = nowMs;
    this.#options.onDisagreement({ node: node.name, blockNumber, why });
  }
}

/** The same events, at heads of about the same time: an old block agrees with what was true then. */
function agree(a: Witnessed, b: Witnessed): boolean {
  return (
    a.digest === b.digest && Math.abs(a.headTime - b.headTime) <= HEAD_LAG_SECONDS_MAX && !isOtherBranch(a, b)
  );
}

function isOtherBranch(a: Witnessed, b: Witnessed): boolean {
  return a.blockNumber === b.blockNumber && a.blockHash !== b.blockHash;
}

/** Of two that agree, the one that grants less. */
function warier<T extends Witnessed>(a: T, b: T): T {
  if (a.safeBlock !== b.safeBlock) return a.safeBlock < b.safeBlock ? a : b;
  return a.blockNumber <= b.blockNumber ? a : b;
}

/** The time by the heads: of three the middle one, since one may lie; of two the later one, since nobody can tell. */
function presentOf(answers: readonly Answer<Witnessed>[]): number {
  const times = answers.map(({ value }) => value.headTime).sort((a, b) => b - a);
  return times[times.length > AGREEING_MIN ? 1 : 0] as number;
}
