/** However a body is cut on its way, on connections that are used again, the handler reads all of it. */
import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { newParty } from './support/parties.ts';
import { SERVERS } from './support/servers.ts';

interface Cut {
  readonly length: number;
  readonly pieces: readonly number[];
  /** Without a Content-Length. */
  readonly chunked: boolean;
  /** Whether to let the server read between the pieces. */
  readonly slow: boolean;
}

const cut: fc.Arbitrary<Cut> = fc.record({
  length: fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 70_000 }), fc.nat({ max: 300_000 })),
  pieces: fc.array(fc.integer({ min: 1, max: 80_000 }), { minLength: 1, maxLength: 4 }),
  chunked: fc.boolean(),
  slow: fc.boolean(),
});
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test.each(SERVERS)('%s', async (_name, start) => {
  const { signer } = await newParty();
  const nonces = createNonceMemory({ noEarlierProcess: true });
  await using server = await start({ resolveKey: didKeyResolver(), nonces });
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });

  const send = async ({ length, pieces, chunked, slow }: Cut): Promise<number> => {
    const body = JSON.stringify({ text: 'x'.repeat(length) });
    const fields = { 'content-type': 'application/json' };
    const request = { method: 'POST', url: `${server.origin}/cut`, headers: fields, body };
    const signed = await signRequest(request, signer);
    const size: [string, string][] = chunked ? [] : [['content-length', String(body.length)]];
    const headers = Object.fromEntries([...signed.headers, ...size]);
    const sending = httpRequest(signed.url, { agent, method: 'POST', headers });
    const answered = once(sending, 'response');
    for (let at = 0, piece = 0; at < body.length; piece += 1) {
      const next = at + (pieces[piece % pieces.length] ?? body.length);
      sending.write(body.slice(at, next));
      at = next;
      if (slow) await nextTurn();
    }
    sending.end();
    const [response] = (await answered) as [IncomingMessage];
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect(response.statusCode, text.slice(0, 200)).toBe(200);
    return JSON.parse(text).body.text.length;
  };

  const several = fc.array(cut, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(several, async (cuts) => {
      expect(await Promise.all(cuts.map(send))).toEqual(cuts.map(({ length }) => length));
    }),
    { numRuns: 40 },
  );
  agent.destroy();
});
