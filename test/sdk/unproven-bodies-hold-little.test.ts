/** A body is bounded in length, in time, and together with all others, on every way in. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { gather } from '../../src/sdk/body.ts';
import { didKeyResolver } from '../../src/sdk/did.ts';
import { createNonceMemory } from '../../src/sdk/nonces.ts';
import { signRequest } from '../../src/sdk/sign.ts';
import { createVerifier, type Verifier, type VerifierOptions } from '../../src/sdk/verify.ts';
import { codeOf, newParty, ORIGIN } from './support/parties.ts';

const { signer } = await newParty();

function verifierWith(change: Partial<VerifierOptions>): Verifier {
  const nonces = createNonceMemory({ noEarlierProcess: true });
  return createVerifier({ origins: ORIGIN, resolveKey: didKeyResolver(), nonces, ...change });
}

interface Upload {
  readonly stream: ReadableStream<Uint8Array>;
  send(bytes: Uint8Array): void;
  end(): void;
  /** Whether the reader gave it up. */
  cancelled(): boolean;
}

function newUpload(): Upload {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  let cancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel: () => {
      cancelled = true;
    },
  });
  return {
    stream,
    send: (bytes) => controller?.enqueue(bytes),
    end: () => controller?.close(),
    cancelled: () => cancelled,
  };
}

/** Signed for these bytes, its body to be sent by hand. */
async function uploading(bytes: Uint8Array, upload: Upload): Promise<Request> {
  const { url, headers } = await signRequest({ method: 'POST', url: `${ORIGIN}/`, body: bytes }, signer);
  const init = { method: 'POST', headers, body: upload.stream, duplex: 'half' };
  return new Request(url, init as RequestInit);
}

const BYTES = new Uint8Array(1_000).fill(7);

/** What is alive, on the heap of JavaScript and beside it. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('a body', () => {
  test('that comes byte by byte takes no more than a few times its length', () => {
    const bytes = 262_144;
    const budget = { totalBytes: bytes, heldBytes: 0 };
    const gathering = gather({ maxBytes: bytes, timeoutMs: 60_000, budget });
    const before = heldBytes();
    for (let sent = 0; sent < bytes; sent += 1) gathering.add(new Uint8Array([sent & 0xff]));
    expect(heldBytes() - before).toBeLessThan(16 * bytes);
    expect(gathering.bytes()).toEqual(Uint8Array.from({ length: bytes }, (_, at) => at & 0xff));
    gathering.end();
  });

  test('in pieces is proven whole', async () => {
    const upload = newUpload();
    const proving = verifierWith({}).verify(await uploading(BYTES, upload));
    for (let at = 0; at < BYTES.length; at += 100) upload.send(BYTES.subarray(at, at + 100));
    upload.end();
    expect((await proving).body).toEqual(BYTES);
  });

  test('that is too long is given up at once', async () => {
    const upload = newUpload();
    const proving = codeOf(verifierWith({ maxBodyBytes: 150 }).verify(await uploading(BYTES, upload)));
    upload.send(BYTES.subarray(0, 100));
    upload.send(BYTES.subarray(0, 100));
    expect(await proving).toBe('body_too_large');
    expect(upload.cancelled()).toBe(true);
  });

  test.each([0, 1])('that stops after %i pieces is given up in time', async (pieces) => {
    const upload = newUpload();
    const proving = codeOf(verifierWith({ bodyTimeoutMs: 50 }).verify(await uploading(BYTES, upload)));
    for (let sent = 0; sent < pieces; sent += 1) upload.send(BYTES.subarray(0, 10));
    expect(await proving).toBe('body_timeout');
    expect(upload.cancelled()).toBe(true);
  });

  test('beside others is refused when all together are too much, and their room comes back', async () => {
    const verifier = verifierWith({ totalBodyBytes: 1_500 });
    const uploads = [newUpload(), newUpload()];
    const signed = [await uploading(BYTES, uploads[0]!), await uploading(BYTES, uploads[1]!)];
    const verifying = signed.map((request) => verifier.verify(request));
    for (const upload of uploads) upload.send(BYTES.subarray(0, 999));
    // Whichever is read first has the room.
    const codes = verifying.map(async (one, at) => ({ at, code: await codeOf(one) }));
    const { at: late, code } = await Promise.race(codes);
    expect(code).toBe('body_memory_exhausted');
    const early = uploads[1 - late]!;
    early.send(BYTES.subarray(999));
    early.end();
    expect((await verifying[1 - late]!).body).toHaveLength(1_000);
    const third = newUpload();
    third.send(BYTES);
    third.end();
    expect((await verifier.verify(await uploading(BYTES, third))).body).toHaveLength(1_000);
  });

  test('that takes longer than its signature lasts is refused', async () => {
    let nowMs = Date.now();
    const upload = newUpload();
    const proving = codeOf(verifierWith({ now: () => nowMs }).verify(await uploading(BYTES, upload)));
    upload.send(BYTES.subarray(0, 500));
    nowMs += 120_000;
    upload.send(BYTES.subarray(500));
    upload.end();
    expect(await proving).toBe('signature_too_old');
  });

  test('that is empty, of a request signed without one, is none', async () => {
    const { url, headers } = await signRequest({ method: 'POST', url: `${ORIGIN}/` }, signer);
    const upload = newUpload();
    upload.end();
    const init = { method: 'POST', headers, body: upload.stream, duplex: 'half' };
    expect((await verifierWith({}).verify(new Request(url, init as RequestInit))).body).toBeNull();
  });
});
