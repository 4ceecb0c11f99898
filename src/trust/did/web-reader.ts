/** Reads the documents of did:web, and those in the logs of did:webvh, at their hosts. */
import type { Fetcher } from '../fetch/fetcher.ts';
import { parseJsonObject } from '../fetch/json.ts';
import { DidError } from './errors.ts';
import { publishedKeys } from './published-document.ts';
import { type DocumentReader, type WebDocument, withoutBody } from './web-documents.ts';
import { type WebName, webUrl } from './web-name.ts';
import { checkWitnesses, type History, readHistory } from './webvh-log.ts';

/** W3C DID 1.0, section 6, and what servers call JSON files. */
const DOCUMENT_TYPES = [
  'application/did+json',
  'application/did+ld+json',
  'application/did',
  'application/ld+json',
  'application/json',
];
/** Logs prove themselves, and servers know no type for them: what they call unknown and text files will do. */
const LOG_TYPES = [
  'text/jsonl',
  'application/jsonl',
  'application/x-ndjson',
  'application/json',
  'application/octet-stream',
  'text/plain',
];
/** Of a log, and of its witnesses' file: an entry takes one or two KB, and the log grows with each change of a key. */
const LOG_BYTES_MAX = 262_144;

export function documentReader(fetcher: Fetcher): DocumentReader {
  return (did, site, held, readAtMs) =>
    site.scid === null
      ? readPlain(fetcher, did, site, held, readAtMs)
      : readLog(fetcher, did, site, site.scid, held, readAtMs);
}

async function readPlain(
  fetcher: Fetcher,
  did: string,
  site: WebName,
  held: WebDocument | null,
  readAtMs: number,
): Promise<WebDocument> {
  const fetched = await fetcher.fetch({
    url: webUrl(site, 'did.json'),
    mediaTypes: DOCUMENT_TYPES,
    etag: held?.etag ?? null,
  });
  if (fetched.kind !== 'body') return withoutBody(fetched, held, readAtMs);
  const { etag, maxAgeMs, bytes } = fetched;
  const keys = publishedKeys(parseJsonObject(bytes), did);
  return { exists: true, keys, readAtMs, maxAgeMs, etag, bytes: bytes.length, version: null };
}

async function readLog(
  fetcher: Fetcher,
  did: string,
  site: WebName,
  scid: string,
  held: WebDocument | null,
  readAtMs: number,
): Promise<WebDocument> {
  const fetched = await fetcher.fetch({
    url: webUrl(site, 'did.jsonl'),
    mediaTypes: LOG_TYPES,
    bytesMax: LOG_BYTES_MAX,
    etag: held?.etag ?? null,
  });
  if (fetched.kind !== 'body') return withoutBody(fetched, held, readAtMs);
  const { etag, bytes } = fetched;
  const history = await readHistory(bytes, scid, readAtMs);
  // A log only grows. One that lost what we have seen would give back keys that were revoked since.
  if (typeof held?.version === 'string' && !history.versions.has(held.version)) {
    throw new DidError('did_unresolvable', `the log of the DID has lost its version ${held.version}`);
  }
  await askWitnesses(fetcher, site, history, readAtMs);
  const keys = history.deactivated ? [] : publishedKeys(history.state, did);
  const wishes = [fetched.maxAgeMs, history.ttl === null ? null : 1_000 * history.ttl];
  const ages = wishes.filter((age) => age !== null);
  const maxAgeMs = ages.length === 0 ? null : Math.min(...ages);
  const size = JSON.stringify(history.state).length;
  return { exists: true, keys, readAtMs, maxAgeMs, etag, bytes: size, version: history.newest };
}

async function askWitnesses(fetcher: Fetcher, site: WebName, history: History, nowMs: number): Promise<void> {
  if (history.duties.length === 0) return;
  const url = webUrl(site, 'did-witness.json');
  const fetched = await fetcher.fetch({
    url,
    mediaTypes: LOG_TYPES,
    bytesMax: LOG_BYTES_MAX,
  });
  if (fetched.kind !== 'body') throw new DidError('did_unresolvable', 'the witnesses of the DID say nothing');
  await checkWitnesses(history, fetched.bytes, nowMs);
}
