import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { importHmac, importSpki } from '../../../src/trust/keys/import.ts';
import type { SignatureAlgorithm, VerificationKey } from '../../../src/trust/keys/key.ts';
import { checkContentDigest } from '../../../src/trust/wire/content-digest.ts';
import { type MessageView, requestView, responseView } from '../../../src/trust/wire/message.ts';
import { selectSignature } from '../../../src/trust/wire/signature-input.ts';
import { checkTime, signatureBase } from '../../../src/trust/wire/verify.ts';
import { vectorsPath } from './support/vectors.ts';

interface VectorMessage {
  type: 'request' | 'response';
  method: string;
  scheme: string;
  authority: string;
  target: string;
  status: number;
  headers: [string, string][];
  body?: string;
  request?: VectorMessage;
}
interface Vector {
  name: string;
  msg: VectorMessage;
  label: string;
  alg: SignatureAlgorithm;
  key: string;
  expect: 'accept' | 'reject';
  now: number;
}
interface VectorKey {
  public?: string;
  secret_base64?: string;
}

const MESSAGES = 25;
const path = vectorsPath('rfc9421.json');

function viewOf(message: VectorMessage): MessageView {
  const rawHeaders = message.headers.flat();
  if (message.type === 'request') return requestView({ ...message, rawHeaders });
  const request = message.request === undefined ? undefined : viewOf(message.request);
  if (request?.kind === 'response') throw new Error('a response cannot answer a response');
  return responseView({ status: message.status, rawHeaders, ...(request && { request }) });
}

function keyOf(key: VectorKey, algorithm: SignatureAlgorithm): VerificationKey {
  if (key.public !== undefined) return importSpki(key.public, { algorithm, allowRsaV15: true });
  return importHmac(Buffer.from(key.secret_base64 ?? '', 'base64'));
}

describe('the messages of RFC 9421 and of the Web Bot Auth draft', () => {
  test('every one is accepted or refused as it says', (ctx) => {
    if (path === null) return ctx.skip('rfc9421.json is not on this machine');
    const { keys, messages } = JSON.parse(readFileSync(path, 'utf8')) as {
      keys: Record<string, VectorKey>;
      messages: Vector[];
    };
    for (const vector of messages) {
      const view = viewOf(vector.msg);
      const signature = selectSignature(view, { label: vector.label });
      if (signature === null) throw new Error(`${vector.name}: no signature found`);
      // The examples were made years apart; their age is not what they are examples of.
      checkTime(signature.params, vector.now, { maxAgeSeconds: 86_400 });
      const key = keyOf(keys[vector.key] ?? {}, vector.alg);
      expect(key.algorithm, vector.name).toBe(vector.alg);
      const accepted = key.verify(signatureBase(signature, view), signature.signature);
      expect(accepted ? 'accept' : 'reject', vector.name).toBe(vector.expect);
    }
    expect(messages.length).toBe(MESSAGES);
    console.log(`RFC 9421: ${messages.length} of ${messages.length} messages behave as published`);
  });

  test('the content digest of every message with a body is that of its body', (ctx) => {
    if (path === null) return ctx.skip('rfc9421.json is not on this machine');
    const { messages } = JSON.parse(readFileSync(path, 'utf8')) as { messages: Vector[] };
    let checked = 0;
    for (const { name, msg } of messages) {
      const digest = msg.headers.find(([field]) => field === 'Content-Digest')?.[1];
      // In section 4.3 the RFC's own line break stands before the proxied body.
      if (digest === undefined || msg.body === undefined || msg.body.startsWith('\n')) continue;
      expect(() => checkContentDigest(digest, Buffer.from(msg.body ?? '')), name).not.toThrow();
      checked += 1;
    }
    expect(checked).toBeGreaterThan(5);
  });
});
