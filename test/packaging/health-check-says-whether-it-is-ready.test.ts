import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { childEnvironment } from '../../src/env.ts';
import { freePort } from '../support/free-port.ts';
import { openGateway } from '../support/gateway.ts';
import { placeOf } from './support/compose.ts';

const AGENTS = ['{ id: echo, upstreams: ["http://127.0.0.1:9"] }'];

/** The exit code of the container's health check. */
function check(env: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const options = { env: childEnvironment(env) };
    execFile(process.execPath, [placeOf('deploy/docker/health-check.mjs')], options, (error) =>
      resolve(error === null ? 0 : Number(error.code)),
    );
  });
}

test.each([
  ['in cleartext', false],
  ['over TLS, whatever the name in the certificate', true],
])('%s: 0 while it serves, 1 afterwards', async (_how, tls) => {
  const gateway = await openGateway({ agents: AGENTS, tls, atOnce: true });
  // As in a container, where it listens everywhere.
  const env: Record<string, string> = { HOST: '0.0.0.0', PORT: String(gateway.port) };
  if (tls) env.TLS_CERT_FILE = '/run/secrets/tls_cert';
  expect(await check(env)).toBe(0);
  await gateway.close();
  expect(await check(env)).toBe(1);
});

test('1 when something listens there and never answers', async () => {
  const port = await freePort();
  const silent = createServer().listen(port, '127.0.0.1');
  expect(await check({ HOST: '127.0.0.1', PORT: String(port) })).toBe(1);
  silent.close();
});
