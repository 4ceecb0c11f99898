/** Reads the documents of did:web, and those in the logs of did:webvh, at their hosts. */
import type { Fetcher } from '../fetch/fetcher.ts';
import { parseJsonObject } from '../fetch/json.ts';
import { DidError } from './errors.ts';
import { publishedKeys } from './published-document.ts';
import { createTurns } from './turns.ts';
import { type DocumentReader, type Question, type WebDocument, withoutBody } from './web-documents.ts';
import { webUrl } from './web-name.ts';
import { checkWitnesses, readHistory } from './webvh-log.ts';

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

/**
 * Logs that wait for their turn: one of strangers is verified at a time, and one of those whose keys have verified
 * before, in steps between which others have their turn. Strangers' logs may not keep known callers from being read.
 */
const LOGS_WAITING_MAX = 32;

export function documentReader(fetcher: Fetcher): DocumentReader {
  const strangers = createTurns(LOGS_WAITING_MAX);
  const known = createTurns(LOGS_WAITING_MAX);
  return (question) =>
    question.site.scid === null
      ? readPlain(fetcher, question)
      : readLog(fetcher, question, question.site.scid, question.known ? known : strangers);
}

async function readPlain(fetcher: Fetcher, question: Question): Promise<WebDocument> {
  const { did, site, held, known, readAtMs } = question;
  const url = webUrl(site, 'did.json');
  const fetched = await fetcher.fetch({ url, mediaTypes: DOCUMENT_TYPES, known, etag: held?.etag ?? null });
  if (fetched.kind !== 'body') return withoutBody(fetched, question);
  const { etag, maxAgeMs, bytes } = fetched;
  const published = parseJsonObject(bytes);
  const keys = publishedKeys(published, did);
  const whole = question.whole === true ? { published, deactivated: published.deactivated === true } : {};
  return { exists: true, keys, readAtMs, maxAgeMs, etag, bytes: bytes.length, version: null, ...whole };
}

async function readLog(
  fetcher: Fetcher,
  question: Question,
  scid: string,
  inTurn: ReturnType<typeof createTurns>,
): Promise<WebDocument> {
  const { did, site, held, known, readAtMs } = question;
  const asLog = { mediaTypes: LOG_TYPES, bytesMax: LOG_BYTES_MAX, known };
  const fetched = await fetcher.fetch({
    ...asLog,
    url: webUrl(site, 'did.jsonl'),
    etag: held?.etag ?? null,
  });
  if (fetched.kind !== 'body') return withoutBody(fetched, question);
  const history = await inTurn(() => readHistory(fetched.bytes, scid, readAtMs));
  // A log only grows. One that lost what we have seen would give back keys that were revoked since.
  if (typeof held?.version === 'string' && !history.versions.has(held.version)) {
    throw new DidError('did_unresolvable', `the log of the DID has lost its version ${held.version}`);
  }
  if (history.duties.length > 0) {
    const file = await fetcher.fetch({ ...asLog, url: webUrl(site, 'did-witness.json') });
    if (file.kind !== 'body') throw new DidError('did_unresolvable', 'the witnesses of the DID say nothing');
    await inTurn(() => checkWitnesses(history, file.bytes, readAtMs));
  }
  return {
    exists: true,
    keys: history.deactivated ? [] : publishedKeys(history.state, did),
    readAtMs,
    maxAgeMs: sooner(fetched.maxAgeMs, history.ttl),
    etag: fetched.etag,
    bytes: JSON.stringify(history.state).length,
    version: history.newest,
    ...(question.whole === true ? { published: history.state, deactivated: history.deactivated } : {}),
  };
}

/** Of what the host and what the controller wishes. */
function sooner(maxAgeMs: number | null, ttlSeconds: number | null): number | null {
  if (ttlSeconds === null) return maxAgeMs;
  return Math.min(1_000 * ttlSeconds, maxAgeMs ?? Number.POSITIVE_INFINITY);
}
