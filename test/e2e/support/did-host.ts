/** A host on this machine that publishes DID documents, for gateways that run with `DEVELOPMENT`. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';
import type { Signer } from '../../../src/trust/sign-request.ts';
import { selfSigned } from '../../support/tls.ts';

/** Hosts of documents may be on loopback. */
export const DEVELOPMENT = { SAGE_ENV: 'development', ALLOW_PRIVATE_DID_HOSTS: 'true' } as const;

export interface DidHost extends AsyncDisposable {
  readonly port: number;
  /** Paths asked for so far. */
  readonly asked: readonly string[];
  /** The DID whose document stands at `path`, segments joined by `:`. */
  did(path: string): string;
  /** Puts a text at a path, for as long as the host wishes it to be kept: five seconds, the least a gateway keeps it. */
  put(path: string, body: string, type?: string): void;
  /** A document of `did` at its path, with these keys, each a Multikey by its fragment. */
  publish(path: string, keys: Readonly<Record<string, string>>, id?: string): void;
  remove(path: string): void;
  /** Stops answering, or answers again. */
  away: boolean;
}

/** Trusted by this process from now on, as `NODE_EXTRA_CA_CERTS` would be from its start. */
export async function startDidHost(): Promise<DidHost> {
  const { key, cert, ca } = await selfSigned();
  setDefaultCACertificates([...getCACertificates('default'), ca]);
  const files = new Map<string, { body: string; type: string }>();
  const asked: string[] = [];
  const server = createServer({ key, cert }, ({ url = '', socket }, response: ServerResponse) => {
    asked.push(url);
    const file = files.get(url);
    if (host.away) socket.destroy();
    else if (file === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': file.type, 'cache-control': 'max-age=5' }).end(file.body);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const fileOf = (path: string): string => `/${path.replaceAll(':', '/')}/did.json`;
  const host: DidHost = {
    port,
    asked,
    away: false,
    did: (path) => `did:web:localhost%3A${port}:${path}`,
    put: (path, body, type = 'application/did+json') => void files.set(path, { body, type }),
    publish(path, keys, id = host.did(path)) {
      const verificationMethod = Object.entries(keys).map(([fragment, publicKeyMultibase]) => ({
        id: `${id}#${fragment}`,
        type: 'Multikey',
        controller: id,
        publicKeyMultibase,
      }));
      const authentication = Object.keys(keys).map((fragment) => `${id}#${fragment}`);
      host.put(fileOf(path), JSON.stringify({ id, verificationMethod, authentication }));
    },
    remove: (path) => void files.delete(fileOf(path)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return host;
}

export interface HostedCaller {
  readonly did: string;
  readonly multikey: string;
  readonly signer: Signer;
}

/** A caller whose DID is `did`, with a new Ed25519 key; publishing it is the test's. */
export function hostedCaller(did: string, fragment = 'key-1'): HostedCaller {
  const { signing, multikey } = generateSigningKey('ed25519');
  return { did, multikey: multikey ?? '', signer: { keyId: `${did}#${fragment}`, key: signing } };
}
