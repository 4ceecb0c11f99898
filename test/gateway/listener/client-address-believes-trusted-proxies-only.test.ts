import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  clientAddress,
  parseTrustedProxies,
  type TrustedProxiesError,
} from '../../../src/gateway/listener/client-address.ts';
import { openSession, parseAnswer, type Running, requestHttp2, sendRaw, startListener } from './support.ts';

const started: Running[] = [];
async function start(trusted: string): Promise<number> {
  const proxies = parseTrustedProxies(trusted);
  const running = await startListener((app) => {
    app.get('/', (req) => ({ address: clientAddress(req.raw, proxies) }));
  });
  started.push(running);
  return running.port;
}
let none: number;
let some: number;
let loopbackOnly: number;
beforeAll(async () => {
  none = await start('');
  some = await start('127.0.0.0/8, 10.0.0.0/8, 2001:db8::/32');
  loopbackOnly = await start('127.0.0.1');
});
afterAll(() => Promise.all(started.map(({ app }) => app.close())));

async function ask(port: number, ...fields: string[]): Promise<unknown> {
  const lines = fields.map((field) => `X-Forwarded-For: ${field}\r\n`).join('');
  const text = `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines}\r\n`;
  const first = await sendRaw(port, text);
  // The second answer comes from the cache and must be the same.
  const second = await sendRaw(port, text);
  expect(second.problem).toEqual(first.problem);
  return first.problem.address;
}

test('without trusted proxies the field is a claim and nothing more', async () => {
  expect(await ask(none, '203.0.113.9')).toBe('127.0.0.1');
});

describe('through trusted proxies', () => {
  test.each([
    ['no field', [], '127.0.0.1'],
    ['an empty field', [''], '127.0.0.1'],
    ['one caller', ['203.0.113.9'], '203.0.113.9'],
    ['a claim left of the caller', ['1.1.1.1, 203.0.113.9'], '203.0.113.9'],
    ['a trusted proxy right of the caller', ['1.1.1.1, 203.0.113.9, 10.1.2.3'], '203.0.113.9'],
    ['two fields are one list', ['203.0.113.9', '10.1.2.3'], '203.0.113.9'],
    ['proxies only', ['10.0.0.1, 10.0.0.2'], '10.0.0.1'],
    ['a malformed entry stops the walk', ['203.0.113.9, nonsense, 10.0.0.2'], '10.0.0.2'],
    ['a malformed last entry', ['203.0.113.9, nonsense'], '127.0.0.1'],
    ['an address with a port', ['203.0.113.9:80'], '127.0.0.1'],
    ['an octal address', ['010.0.0.1'], '127.0.0.1'],
    ['an empty entry', ['203.0.113.9,,10.0.0.1'], '10.0.0.1'],
    ['spaces', ['  203.0.113.9 ,  10.0.0.1 '], '203.0.113.9'],
    ['IPv6 in another spelling', ['2A00:0:0:0:0:0:0:1, 2001:DB8::5'], '2a00::1'],
    ['IPv4 mapped into IPv6', ['::ffff:203.0.113.9'], '203.0.113.9'],
    ['a trusted proxy mapped into IPv6', ['203.0.113.9, ::ffff:10.0.0.1'], '203.0.113.9'],
    ['a zone', ['fe80::1%eth0'], 'fe80::1'],
  ])('%s', async (_name, fields, address) => {
    expect(await ask(some, ...fields)).toBe(address);
  });

  test('a chain of thousands is not walked to its end', async () => {
    expect(await ask(some, `203.0.113.9${', 10.0.0.1'.repeat(3_000)}`)).toBe('10.0.0.1');
  });

  test('over HTTP/2', async () => {
    const session = await openSession(`http://127.0.0.1:${some}`);
    const first = await requestHttp2(session, { 'x-forwarded-for': '1.1.1.1, 203.0.113.9' });
    const second = await requestHttp2(session, {});
    session.destroy();
    expect([first.body, second.body]).toEqual(['{"address":"203.0.113.9"}', '{"address":"127.0.0.1"}']);
  });

  test('a connection from another address is not believed', async () => {
    const socket = connect({ port: loopbackOnly, host: '127.0.0.1', localAddress: '127.0.0.2' });
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n');
    await once(socket, 'close');
    expect(parseAnswer(text).problem).toEqual({ address: '127.0.0.2' });
  });
});

describe('TRUSTED_PROXIES', () => {
  test.each([
    '10.0.0.0/33',
    '10.0.0',
    'example.org',
    '10.0.0.0/8/8',
    '10.0.0.0/',
    '0.0.0.0/0',
    '::/0',
    'a/8',
  ])('"%s" is refused by name', (entry) => {
    expect(() => parseTrustedProxies(`127.0.0.1, ${entry}`)).toThrow(
      new RegExp(entry.replace(/[.]/g, '\\.')),
    );
  });
  test('every fault is named at once', () => {
    try {
      parseTrustedProxies('a, 10.0.0.1, b');
      expect.unreachable();
    } catch (error) {
      expect((error as TrustedProxiesError).faults).toHaveLength(2);
    }
  });
});
