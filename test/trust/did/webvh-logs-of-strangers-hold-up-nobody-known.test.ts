import { expect, test } from 'vitest';
import { parseKeyId } from '../../../src/trust/did/did-url.ts';
import type { WebDocument } from '../../../src/trust/did/web-documents.ts';
import { documentReader } from '../../../src/trust/did/web-reader.ts';
import type { Fetcher } from '../../../src/trust/fetch/fetcher.ts';
import { Controller, created, dayOf, linesOf, sealed } from './webvh-world.ts';
import { codeOf } from './world.ts';

test('however many logs of strangers wait to be verified, that of a known caller is read', async () => {
  const alice = new Controller();
  const { did, log: first } = await created(alice);
  let log = first;
  while (log.length < 64)
    log = await sealed(log, { ...log[0], versionTime: dayOf(log.length + 1), parameters: {} }, [alice]);
  const fetcher: Pick<Fetcher, 'fetch'> = {
    fetch: async () => ({ kind: 'body', bytes: linesOf(log), etag: null, maxAgeMs: null }) as never,
  };
  const read = documentReader(fetcher as Fetcher);
  const { site } = parseKeyId(did);
  if (site === null) throw new TypeError('did:webvh has a host');
  const ask = (known: boolean): Promise<WebDocument> =>
    read({ did, site, held: null, known, readAtMs: Date.now() });
  let verified = 0;
  const strangers = Array.from({ length: 32 }, () => ask(false).then(() => (verified += 1)));
  expect(await codeOf(() => ask(false))).toBe('did_unresolvable');
  expect((await ask(true)).version).toBe(log.at(-1)?.versionId);
  expect(verified).toBeLessThan(strangers.length);
  await Promise.all(strangers);
});
