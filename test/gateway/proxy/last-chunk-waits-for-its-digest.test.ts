import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import type { DigestProof } from '../../../src/gateway/proxy/exchange.ts';
import { defineRefusals, Refused } from '../../../src/gateway/refusal.ts';
import { until } from './gateway.ts';
import { closeAll, gatewayTo, httpUpstream } from './upstreams.ts';

afterEach(closeAll);

const KINDS = defineRefusals({
  digest_mismatch: [401, 'Digest mismatch', 'The body is not the one that was signed.', false],
});

function proofOf(expected: string): () => DigestProof {
  return () => {
    const hash = createHash('sha256');
    return {
      update: (chunk) => hash.update(chunk),
      matches: () => hash.digest('base64') === expected,
      mismatch: () => new Refused(KINDS.digest_mismatch),
    };
  };
}

const PARTS = ['first ', 'second ', 'last'];
const DIGEST = createHash('sha256').update(PARTS.join('')).digest('base64');

interface Seen {
  text: string;
  ended: boolean;
  aborted: boolean;
}

async function upload(
  digest: string,
): Promise<{ status: number; body: string; seen: Seen; beforeEnd: string }> {
  const seen: Seen = { text: '', ended: false, aborted: false };
  const url = await httpUpstream((req, res) => {
    req.on('data', (chunk: Buffer) => {
      seen.text += chunk.toString();
    });
    req.on('end', () => {
      seen.ended = true;
      res.end('taken');
    });
    req.on('aborted', () => {
      seen.aborted = true;
    });
    req.on('error', () => undefined);
  });
  const gateway = await gatewayTo([url], {
    body: 'stream',
    proof: proofOf(digest),
    circuit: { requestsMin: 1 },
  });
  const call = request(`${gateway.url}/agents/echo/`, { method: 'POST' });
  call.flushHeaders();
  // Written apart, so that each is a chunk of its own.
  call.write(PARTS[0]);
  await until(() => gateway.app.exchanges.size === 1, 'open');
  call.write(PARTS[1]);
  await until(() => seen.text.includes('first '), 'the first part arrived');
  call.write(PARTS[2]);
  await until(() => seen.text.includes('second '), 'the second part arrived');
  const beforeEnd = seen.text;
  call.end();
  const [res] = (await once(call, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of res) body += String(chunk);
  await until(() => seen.ended || seen.aborted, 'the upstream saw an end');
  expect(gateway.app.circuits.list()[0]?.state).toBe('closed');
  return { status: res.statusCode ?? 0, body, seen, beforeEnd };
}

test('a body that matches passes whole; its last chunk only then', async () => {
  const { status, body, seen, beforeEnd } = await upload(DIGEST);
  expect(status).toBe(200);
  expect(body).toBe('taken');
  expect(beforeEnd).toBe('first second ');
  expect(seen.text).toBe('first second last');
});

test('a body that does not match never ends at the upstream, and the caller is told', async () => {
  const { status, body, seen } = await upload('bm90IGl0');
  expect(status).toBe(401);
  expect(JSON.parse(body)).toMatchObject({ code: 'digest_mismatch' });
  expect(seen).toEqual({ text: 'first second ', ended: false, aborted: true });
});
