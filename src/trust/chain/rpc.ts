/**
 * Our own JSON-RPC client. ethers answers from a 250 ms cache right after an event and loses a WebSocket in silence;
 * a revocation can afford neither, so heads and logs are read here and nowhere else.
 */
import { parseQuantity } from './blocks.ts';
import { ChainError, isNodeFault, originOf } from './errors.ts';
import { openHttpLink } from './http-link.ts';
import {
  type LinkLimits,
  RESPONSE_BYTES_MAX,
  RPC_TIMEOUT_MS,
  type RpcAnswer,
  type RpcCall,
  type RpcLink,
  resultOf,
} from './json-rpc.ts';
import { openSocketLink, type SocketEvents } from './socket-link.ts';

const CHAIN_ID: RpcCall = { method: 'eth_chainId', params: [] };

export interface RpcOptions {
  /** `http:`, `https:`, `ws:` or `wss:`, in order of preference; another is tried when one fails. */
  readonly urls: readonly string[];
  /** EIP-155 id every node must serve; asked in the first batch on each, so it costs no round trip. */
  readonly chainId: number;
  /** Per node, in milliseconds; the call as a whole may take this times the number of URLs. */
  readonly timeoutMs?: number;
  readonly responseBytesMax?: number;
}

export interface Rpc {
  readonly chainId: number;
  /** @throws ChainError when no node answers; of several failures, the first. */
  batch(calls: readonly RpcCall[]): Promise<RpcAnswer[]>;
  close(): Promise<void>;
}

/** @throws ChainError `rpc_unreachable` for an unusable list of URLs. */
export function createRpc(options: RpcOptions): Rpc {
  const limits: LinkLimits = {
    timeoutMs: options.timeoutMs ?? RPC_TIMEOUT_MS,
    responseBytesMax: options.responseBytesMax ?? RESPONSE_BYTES_MAX,
  };
  assertRpcUrls(options.urls);
  const nodes = options.urls.map((url) => createNode(url, options.chainId, limits));
  // The node that answered last is asked first: one that hangs costs its timeout once, not on every call.
  let preferred = 0;

  return {
    chainId: options.chainId,
    async batch(calls) {
      let failure: unknown;
      for (let i = 0; i < nodes.length; i++) {
        const place = (preferred + i) % nodes.length;
        try {
          const answers = await (nodes[place] as RpcLink).batch(calls);
          if (i > 0) preferred = place;
          return answers;
        } catch (error) {
          failure ??= error;
          if (!isNodeFault(error)) throw error;
        }
      }
      throw failure;
    },
    async close() {
      await Promise.all(nodes.map((node) => node.close()));
    },
  };
}

export function assertRpcUrls(urls: readonly string[]): void {
  if (urls.length === 0) throw new ChainError('rpc_unreachable', { detail: 'no RPC URL is configured' });
  for (const url of urls) {
    if (!URL.canParse(url) || !/^(?:https?|wss?):$/.test(new URL(url).protocol)) {
      throw new ChainError('rpc_unreachable', { detail: `not an http(s) or ws(s) URL: ${originOf(url)}` });
    }
  }
}

/** @throws ChainError `chain_mismatch`. */
export function assertChainId(answer: RpcAnswer | undefined, chainId: number, node: string): void {
  const found = parseQuantity(resultOf(answer, 'eth_chainId'), 'eth_chainId');
  if (found !== chainId) {
    throw new ChainError('chain_mismatch', { node, detail: `chain ${found}, configured is ${chainId}` });
  }
}

/** A link made on first use, and anew after its socket ended, that proves its chain before anything it says counts. */
function createNode(url: string, chainId: number, limits: LinkLimits): RpcLink {
  let link: Promise<RpcLink> | undefined;
  let proven = false;

  function open(): Promise<RpcLink> {
    const opened = openLink(url, limits, {
      onNotification: ignore,
      onClosed: () => {
        link = undefined;
        proven = false;
      },
    });
    opened.catch(() => {
      if (link === opened) link = undefined;
    });
    return opened;
  }

  return {
    async batch(calls) {
      link ??= open();
      const opened = await link;
      try {
        if (proven) return await opened.batch(calls);
        const answers = await opened.batch([CHAIN_ID, ...calls]);
        assertChainId(answers.shift(), chainId, originOf(url));
        proven = true;
        return answers;
      } catch (error) {
        // What stood behind the URL may be replaced while it is away, so whatever comes back proves itself anew.
        proven = false;
        throw error;
      }
    },
    async close() {
      const opened = await link?.catch(() => undefined);
      await opened?.close();
    },
  };
}

/** No subscription is ever made on these links, so there is nothing to hear. */
function ignore(): undefined {
  return undefined;
}

/** Opens the transport the URL names. Over HTTP, events never fire. */
export function openLink(url: string, limits: LinkLimits, events: SocketEvents): Promise<RpcLink> {
  return url.startsWith('ws')
    ? openSocketLink(url, limits, events)
    : Promise.resolve(openHttpLink(url, limits));
}
