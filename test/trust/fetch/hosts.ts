/** Hosts that behave as a test says, over TLS on loopback, and a fetcher that finds them by name. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Certificate } from '../../../src/cli/demo/certificate.ts';
import { FetchError } from '../../../src/trust/fetch/errors.ts';
import { createFetcher, type Fetcher, type FetcherOptions } from '../../../src/trust/fetch/fetcher.ts';
import { certificateFor } from '../../support/tls.ts';

export const HOST = 'agents.example';
export const JSON_TYPE = ['application/json'];

let made: Promise<Certificate> | undefined;
/** For `HOST` and all names below it. */
function certificate(): Promise<Certificate> {
  made ??= certificateFor([HOST, `*.${HOST}`]);
  return made;
}

export interface Host extends AsyncDisposable {
  readonly port: number;
  /** Connections that have been made to it, TLS or not. */
  readonly connections: () => number;
  url(path?: string, host?: string): URL;
}

async function started(server: TcpServer, address = '127.0.0.1', at = 0): Promise<Host> {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined);
  });
  await once(server.listen(at, address), 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    connections: () => connections,
    url: (path = '/doc', host = HOST) => new URL(`https://${host}:${port}${path}`),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Speaks HTTP. */
export async function host(answer: RequestListener, of: Certificate | null = null): Promise<Host> {
  const { key, cert } = of ?? (await certificate());
  return started(createServer({ key, cert }, answer));
}

/** Writes what it likes once a request has arrived. */
export async function rawHost(answer: (socket: TLSSocket) => void): Promise<Host> {
  const { key, cert } = await certificate();
  const server = createTlsServer({ key, cert, ALPNProtocols: ['http/1.1'] }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => answer(socket));
  });
  return started(server);
}

/** As `host`, at an address and a port of the caller's choice. */
export async function hostAt(address: string, port: number, answer: RequestListener): Promise<Host> {
  const { key, cert } = await certificate();
  return started(createServer({ key, cert }, answer), address, port);
}

/** Every name leads to loopback, and the tests' own authority is trusted, unless said otherwise. */
export async function fetcherFor(options: Partial<FetcherOptions> = {}): Promise<Fetcher> {
  const { ca } = await certificate();
  return createFetcher({
    allowPrivateHosts: true,
    lookup: async () => ['127.0.0.1'],
    ca,
    monotonicNow: () => performance.now(),
    ...options,
  });
}

/** The code of the `FetchError` that `work` ends in. */
export async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof FetchError ? error.code : String(error);
  }
  return 'no error';
}

/** Takes connections and says nothing, not even in TLS. */
export function muteHost(): Promise<Host> {
  return started(createTcpServer());
}

/** A port of loopback where nobody listens. */
export async function closedPort(): Promise<number> {
  await using one = await host(() => undefined);
  return one.port;
}
