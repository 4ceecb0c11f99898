/** Reads the keys of a subject from whichever contract keeps them, as the nodes of its chain agree on them. */
import { LRUCache } from 'lru-cache';
import { readAgentKeys } from './chain/agent-keys.ts';
import type { ChainReads } from './chain/agreement.ts';
import type { BlockRef } from './chain/blocks.ts';
import { type CardMemo, cardHashes, readCardKeys } from './chain/card-keys.ts';
import { ChainError } from './chain/errors.ts';
import { ethrIdentity, readEthrKeys } from './chain/ethr-keys.ts';
import type { Finality } from './chain/snapshot.ts';
import type { ChainNames } from './chain-names.ts';
import { cardDid, ethrDid } from './did/did-url.ts';
import type { ChainKeys, ChainReader, ChainSubject } from './did/ports.ts';

/** What was found out once of agents of the first generations. */
const MEMOS_MAX = 4_096;
/** A subject that changes during so many readings is changing too fast to be answered for. */
const READINGS_MAX = 3;

export interface ReadableChain {
  readonly reads: ChainReads;
  readonly names: ChainNames;
  readonly finality: Finality;
  /** By address, lower case. */
  readonly fromBlocks: ReadonlyMap<string, number>;
}

export function createChainReader(chains: ReadonlyMap<number, ReadableChain>): ChainReader {
  const memos = new LRUCache<string, CardMemo>({ max: MEMOS_MAX });
  return {
    async readKeys(subject) {
      const chain = chains.get(subject.chainId);
      const fromBlock = chain?.fromBlocks.get(subject.contract);
      if (chain === undefined || fromBlock === undefined)
        throw new TypeError(`chain ${subject.chainId}, contract ${subject.contract}: not configured`);
      switch (subject.kind) {
        case 'erc8004':
          return readAgent(chain, subject, fromBlock);
        case 'ethr':
          return readEthr(chain, subject, fromBlock);
        case 'agent-card':
          return readCard(chain, subject, fromBlock, memos);
      }
    },
  };
}

function pinned(at: BlockRef | undefined): { readonly at?: BlockRef } {
  return at === undefined ? {} : { at };
}

async function readAgent(
  { reads, finality }: ReadableChain,
  { contract, id }: ChainSubject,
  fromBlock: number,
): Promise<ChainKeys> {
  const ref = { registry: contract, agentId: BigInt(id), fromBlock, finality };
  const answer = await reads.read((rpc, at) => readAgentKeys(rpc, { ...ref, ...pinned(at) }));
  const keys = answer.keys.map(({ multikey: bytes, ...key }) => ({
    ...key,
    material: { kind: 'multikey' as const, bytes },
  }));
  return { ...answer, keys };
}

async function readEthr(
  { reads, names, finality }: ReadableChain,
  { chainId, contract, id }: ChainSubject,
  fromBlock: number,
): Promise<ChainKeys> {
  const { address, publicKey } = ethrIdentity(id);
  // Before the reading, so that no event can come between the two unheard.
  if (publicKey !== undefined) names.name(contract, BigInt(address), ethrDid(chainId, id));
  const ref = { contract, identifier: id, fromBlock, finality };
  return reads.read((rpc, at) => readEthrKeys(rpc, { ...ref, ...pinned(at) }));
}

async function readCard(
  { reads, names, finality }: ReadableChain,
  { contract, id }: ChainSubject,
  fromBlock: number,
  memos: LRUCache<string, CardMemo>,
): Promise<ChainKeys> {
  const did = cardDid(id);
  for (const hash of cardHashes(id)) names.name(contract, BigInt(hash), did);
  const memoKey = `${contract} ${id}`;
  for (let readings = 0; readings < READINGS_MAX; readings += 1) {
    const { moment } = names;
    const memo = memos.get(memoKey);
    const ref = { contract, id, fromBlock, finality, ...(memo === undefined ? {} : { memo }) };
    const answer = await reads.read((rpc, at) => readCardKeys(rpc, { ...ref, ...pinned(at) }));
    if (answer.memo === undefined) return answer;
    memos.set(memoKey, answer.memo);
    const word = BigInt(answer.memo.agentId);
    names.name(contract, word, did);
    // What events call the agent is known only now: one that came while it was read spoke of nobody known.
    if (!names.touchedSince(contract, word, moment)) return answer;
  }
  throw new ChainError('chain_moved', { detail: 'the agent changes faster than it can be read' });
}
