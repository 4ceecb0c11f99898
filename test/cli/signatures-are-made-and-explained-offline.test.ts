import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { folderOf, sage, sageJson, start } from './support.ts';

const folder = folderOf('sign');
const file = (name: string): string => join(folder, name);
const URL_ = 'https://gateway.example/agents/echo/ask?x=1';

async function signedMessage(more: readonly string[] = [], body = '{"a":1}'): Promise<string> {
  const { out, code } = await sage(
    [
      'sign',
      '--key-file',
      'key.jwk',
      '-H',
      'content-type: application/json',
      '--data',
      body,
      ...more,
      'POST',
      URL_,
    ],
    { folder },
  );
  expect(code).toBe(0);
  return `POST /agents/echo/ask?x=1 HTTP/1.1\r\nhost: gateway.example\r\n${out.trim().replaceAll('\n', '\r\n')}\r\n\r\n${body}`;
}

beforeAll(async () => {
  expect((await sage(['keygen', '--out', 'key.jwk'], { folder })).code).toBe(0);
});

describe('keygen', () => {
  test('writes the private key for its owner alone and prints the public half', async () => {
    const { data } = await sageJson(['keygen', '--out', 'a.jwk'], { folder });
    expect(statSync(file('a.jwk')).mode & 0o777).toBe(0o600);
    const written = JSON.parse(readFileSync(file('a.jwk'), 'utf8'));
    expect(written.kid).toBe(data.key_id);
    expect(JSON.stringify(data)).not.toContain(written.d);
    expect(data.did).toMatch(/^did:key:z6Mk/);
  });

  test('never replaces a key unless it is told to', async () => {
    const before = readFileSync(file('key.jwk'), 'utf8');
    const { code, error } = await sageJson(['keygen', '--out', 'key.jwk'], { folder });
    expect(code).toBe(1);
    expect(error).toMatchObject({ code: 'file_exists' });
    expect(readFileSync(file('key.jwk'), 'utf8')).toBe(before);
    expect((await sage(['keygen', '--out', 'b.pem', '--format', 'pem'], { folder })).code).toBe(0);
    chmodSync(file('b.pem'), 0o644);
    expect((await sage(['keygen', '--out', 'b.pem', '--format', 'pem', '--force'], { folder })).code).toBe(0);
    expect(statSync(file('b.pem')).mode & 0o777).toBe(0o600);
    expect(readFileSync(file('b.pem'), 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  });

  test.each(['ecdsa-p256-sha256', 'ecdsa-p384-sha384', 'rsa-pss-sha512'])(
    '%s, both forms sign',
    async (algorithm) => {
      for (const format of ['jwk', 'pem']) {
        const name = `${algorithm}.${format}`;
        const made = await sageJson(['keygen', '--out', name, '--format', format, '--algorithm', algorithm], {
          folder,
        });
        expect(made.code, JSON.stringify(made.error)).toBe(0);
        const { out } = await sage(
          ['sign', '--key-file', name, 'GET', 'https://gateway.example/agents/echo/'],
          { folder },
        );
        expect(out).toContain(`alg="${algorithm}"`);
        const captured = `GET /agents/echo/ HTTP/1.1\nhost: gateway.example\n${out}\n`;
        expect((await sageJson(['verify', '-'], { folder, input: captured })).data.verified).toBe(true);
      }
    },
  );
});

describe('sign', () => {
  test('refuses a key that others can read', async () => {
    writeFileSync(file('open.jwk'), readFileSync(file('key.jwk')), { mode: 0o644 });
    const { code, error } = await sageJson(['sign', '--key-file', 'open.jwk', 'GET', URL_], { folder });
    expect(code).toBe(1);
    expect(error).toMatchObject({ code: 'file_open_to_others' });
  });

  test.each([
    ['no key at all', [], 2, 'key_missing'],
    ['a file that is not there', ['--key-file', 'none.jwk'], 1, 'file_unreadable'],
    ['a file that holds no key', ['--key-file', 'noise'], 1, 'key_unusable'],
  ])('%s', async (_what, options, exit, code) => {
    writeFileSync(file('noise'), 'not a key', { mode: 0o600 });
    const answer = await sageJson(['sign', ...options, 'GET', URL_], { folder });
    expect(answer).toMatchObject({ code: exit, error: { code } });
  });

  test('takes its key from the environment, as the SDK does', async () => {
    const env = { SAGE_PRIVATE_KEY_FILE: file('key.jwk') };
    expect((await sage(['sign', 'GET', URL_], { folder, env })).out).toMatch(/^signature: sig1=:/m);
  });

  test('a field with a secret comes from a file, and is covered', async () => {
    writeFileSync(file('fields'), 'authorization: Bearer abc\n', { mode: 0o600 });
    const { out } = await sage(['sign', '--key-file', 'key.jwk', '--header-file', 'fields', 'GET', URL_], {
      folder,
    });
    expect(out).toMatch(/signature-input: sig1=\("@method" "@target-uri" "authorization"\)/);
  });

  test('a url that is none', async () => {
    const answer = await sageJson(['sign', '--key-file', 'key.jwk', 'GET', '/relative'], { folder });
    expect(answer).toMatchObject({ code: 1, error: { message: expect.stringContaining('url_invalid') } });
  });
});

describe('verify', () => {
  test('waits for a writer that is slower than it is', async () => {
    const message = await signedMessage();
    const child = start(['verify', '-'], { folder });
    const ended = new Promise((resolve) => child.once('close', resolve));
    // Longer than the command takes to come to its first read.
    for (let turn = 0; turn < 3; turn += 1) await sage(['--version']);
    child.stdin.on('error', () => undefined).end(message);
    expect(await ended).toBe(0);
  });

  test('shows the base and every step of a good one', async () => {
    const { code, data } = await sageJson(['verify'], { folder, input: await signedMessage() });
    expect(code).toBe(0);
    expect(data).toMatchObject({ verified: true, base: expect.stringContaining(`"@target-uri": ${URL_}\n`) });
    expect(data.steps.map(({ name, ok }: { name: string; ok: boolean }) => [name, ok])).toEqual([
      ['message', true],
      ['signature', true],
      ['coverage', true],
      ['time', true],
      ['digest', true],
      ['key', true],
      ['verification', true],
    ]);
  });

  const changed: [string, (text: string) => string, string, string, string[]][] = [
    ['another path', (text) => text.replace('/ask', '/asks'), 'verification', 'signature_invalid', []],
    ['another body', (text) => text.replace('{"a":1}', '{"a":2}'), 'digest', 'digest_mismatch', []],
    [
      'another host',
      (text) => text,
      'verification',
      'signature_invalid',
      ['--origin', 'https://other.example'],
    ],
    [
      'no signature',
      (text) => text.replace(/^signature(?:-input)?:.*\r\n/gm, ''),
      'signature',
      'signature_required',
      [],
    ],
    [
      'half a signature',
      (text) => text.replace(/^signature:.*\r\n/m, ''),
      'signature',
      'signature_incomplete',
      [],
    ],
    ['an old one', (text) => text, 'time', 'signature_too_old', ['--at', '2099-01-01T00:00:00Z']],
    ['one from the future', (text) => text, 'time', 'created_in_future', ['--at', '1700000000']],
    [
      'a body nobody signed',
      (text) => text.replace(/^content-(?:digest|type):.*\r\n/gm, ''),
      'signature',
      'component_missing',
      [],
    ],
  ];
  test.each(changed)('%s', async (_what, change, step, code, options) => {
    const answer = await sageJson(['verify', ...options], { folder, input: change(await signedMessage()) });
    expect(answer.code).toBe(1);
    expect(answer.data.verified).toBe(false);
    const failed = answer.data.steps.find(({ ok }: { ok: boolean | null }) => ok === false);
    expect(failed.code).toBe(code);
    if (code !== 'component_missing') expect(failed.name).toBe(step);
  });

  test('reads what curl --verbose writes, whatever the time', async () => {
    const message = await signedMessage([], '');
    const curl = message
      .split('\r\n')
      .map((line) => `> ${line}`)
      .join('\n');
    const { data } = await sageJson(['verify', '--ignore-time', '-'], {
      folder,
      input: `* Connected\n${curl}\n< HTTP/1.1 200`,
    });
    expect(data.verified).toBe(true);
  });

  test('a public key that is not in the name is given', async () => {
    const { privateJwk } = { privateJwk: JSON.parse(readFileSync(file('key.jwk'), 'utf8')) };
    const { d: _secret, kid: _kid, key_ops: _ops, ...publicJwk } = privateJwk;
    writeFileSync(file('public.jwk'), JSON.stringify(publicJwk));
    const input = await signedMessage(['--key-id', 'did:web:acme.example#key-1']);
    expect((await sageJson(['verify'], { folder, input })).data.steps).toContainEqual(
      expect.objectContaining({ name: 'key', ok: false }),
    );
    expect((await sageJson(['verify', '--public-key', 'public.jwk'], { folder, input })).data.verified).toBe(
      true,
    );
  });

  test.each([
    [
      'a date beyond all calendars',
      ['--ignore-time'],
      (text: string) => text.replace(/created=\d+/, 'created=999999999999999'),
    ],
    ['a body that looks like curl', [], (text: string) => text],
    [
      'lines that end as on Unix, before a body with empty lines',
      [],
      (text: string) => text.replace(/\r\n/g, '\n'),
    ],
  ])('%s is read as it is', async (_what, options, change) => {
    const body = '> {"a":1}\r\n\r\n> b';
    const input = change(await signedMessage([], body)).replace(/(?:\n\n)>[\s\S]*$/, `\n\n${body}`);
    const { data } = await sageJson(['verify', ...options], { folder, input });
    const failed = data.steps.find(({ ok }: { ok: boolean | null }) => ok === false);
    expect(failed?.code ?? '').toBe(options.length === 0 ? '' : 'signature_invalid');
  });

  test('a public key that is neither JSON nor PEM is said to be', async () => {
    writeFileSync(file('half.jwk'), '{"kty":');
    const answer = await sageJson(['verify', '--public-key', 'half.jwk'], {
      folder,
      input: await signedMessage(),
    });
    expect(answer).toMatchObject({ code: 1, error: { code: 'key_unusable' } });
  });

  test('a chunked capture asks for the body that was sent', async () => {
    const input = (await signedMessage()).replace(
      'content-digest:',
      'transfer-encoding: chunked\r\ncontent-digest:',
    );
    expect(await sageJson(['verify'], { folder, input })).toMatchObject({
      code: 1,
      error: { code: 'request_unreadable' },
    });
  });

  test('what cannot be read is said so', async () => {
    const answer = await sageJson(['verify'], { folder, input: 'hello' });
    expect(answer).toMatchObject({ code: 1, error: { code: 'request_unreadable' } });
    expect(await sageJson(['verify', 'none'], { folder })).toMatchObject({
      code: 1,
      error: { code: 'file_unreadable' },
    });
  });

  test('control characters of a stranger never reach the terminal', async () => {
    const input = (await signedMessage()).replace('POST /agents', 'POST /\u001b[2Jagents');
    const { out, err } = await sage(['verify', '--ignore-time'], { folder, input });
    expect(`${out}${err}`).not.toContain('\u001b');
  });
});
