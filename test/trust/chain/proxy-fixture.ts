/** A node between a gateway and a real one, over HTTP, that lies, lags, hangs or is away as a test tells it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RpcRequest {
  readonly id: number;
  readonly method: string;
  readonly params: readonly unknown[];
}

/** What the node does from now on; it tells the truth where nothing is said. */
export interface Behaviour {
  /** What is asked of the real node instead. */
  ask?: (call: RpcRequest) => RpcRequest;
  /** What it makes of the real answer. */
  tell?: (call: RpcRequest, result: unknown) => unknown;
  /** Never answers. */
  hangs?: boolean;
  /** Cuts the connection instead of answering. */
  cuts?: boolean;
}

export interface NodeProxy extends AsyncDisposable {
  readonly url: string;
  behaviour: Behaviour;
  /** Batches it was asked. */
  readonly requests: number;
}

export async function startProxy(behind: string, behaviour: Behaviour = {}): Promise<NodeProxy> {
  let requests = 0;
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests += 1;
    const { ask, tell, hangs, cuts } = proxy.behaviour;
    if (cuts === true) request.socket.destroy();
    if (cuts === true || hangs === true) return;
    const calls = JSON.parse(Buffer.concat(chunks).toString()) as RpcRequest[];
    const asked = ask === undefined ? calls : calls.map(ask);
    const answer = await fetch(behind, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(asked),
    });
    const answers = (await answer.json()) as { id: number; result?: unknown }[];
    const told = answers.map((one) => {
      const call = calls.find(({ id }) => id === one.id) as RpcRequest;
      return tell === undefined || one.result === undefined
        ? one
        : { ...one, result: tell(call, one.result) };
    });
    response.setHeader('content-type', 'application/json').end(JSON.stringify(told));
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    behaviour,
    get requests() {
      return requests;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return proxy;
}

/** The chain as it was at a block: whoever says `latest` means that. */
export function stoppedAt(block: number): Behaviour {
  const number = `0x${block.toString(16)}`;
  return {
    ask: ({ params, ...call }) => ({
      ...call,
      params: params.map((param) => {
        if (param === 'latest') return number;
        if (typeof param !== 'object' || param === null || !('toBlock' in param)) return param;
        return param.toBlock === 'latest' ? { ...param, toBlock: number } : param;
      }),
    }),
    // It has not heard of what came later.
    tell: (_call, result) => {
      const { number: at } = Object(result) as { number?: string };
      return typeof at === 'string' && Number(at) > block ? null : result;
    },
  };
}
