/** The look-up of names against a name server of our own, by datagrams as it is asked (RFC 1035, section 4). */

import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { lookupBy } from '../../../src/trust/fetch/addresses.ts';

const A = 1;
const AAAA = 28;
const NO_SUCH_NAME = 3;

let server: Socket;
let asked: string[];
/** Addresses by name; an empty list is a name that does not exist, and none is answered at all by silence. */
let zone: Record<string, readonly string[]>;

function questionOf(message: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.'), type: message.readUInt16BE(at + 1), end: at + 5 };
}

function record(type: number, address: string): Buffer {
  const data =
    type === A
      ? Buffer.from(address.split('.').map(Number))
      : Buffer.from(
          address
            .split(':')
            .map((part) => part.padStart(4, '0'))
            .join(''),
          'hex',
        );
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function answerTo(message: Buffer): Buffer | null {
  const { name, type, end } = questionOf(message);
  asked.push(`${type === A ? 'A' : type === AAAA ? 'AAAA' : type} ${name}`);
  const addresses = zone[name];
  if (addresses === undefined) return null;
  const records = addresses
    .filter((address) => address.includes(':') === (type === AAAA))
    .map((address) => record(type, address));
  const head = Buffer.from(message.subarray(0, end));
  head.writeUInt16BE(0x8180 | (addresses.length === 0 ? NO_SUCH_NAME : 0), 2);
  head.writeUInt16BE(records.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...records]);
}

beforeAll(async () => {
  server = createSocket('udp4', (message, { port, address }) => {
    const answer = answerTo(message);
    if (answer !== null) server.send(answer, port, address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
});
beforeEach(() => {
  asked = [];
  zone = {};
});

const never = new AbortController().signal;
const look = (host: string, signal = never) => lookupBy([`127.0.0.1:${server.address().port}`])(host, signal);

test('both kinds of address, each asked for once', async () => {
  zone['host.example'] = ['203.0.113.7', '203.0.113.8', '2001:db8:0:0:0:0:0:1'];
  expect((await look('host.example')).toSorted()).toEqual(['2001:db8::1', '203.0.113.7', '203.0.113.8']);
  expect(asked.toSorted()).toEqual(['A host.example', 'AAAA host.example']);
});

test('one kind is enough', async () => {
  zone['four.example'] = ['203.0.113.7'];
  expect(await look('four.example')).toEqual(['203.0.113.7']);
  zone['six.example'] = ['2001:db8:0:0:0:0:0:2'];
  expect(await look('six.example')).toEqual(['2001:db8::2']);
});

test.each(['localhost', 'intranet', 'host.example'])(
  '%s is asked for as it stands: no file of hosts, no list of domains to try',
  async (name) => {
    zone[name] = [];
    await expect(look(name)).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect(new Set(asked)).toEqual(new Set([`A ${name}`, `AAAA ${name}`]));
  },
);

test('whoever asked and gave up is told at once, and a server that is silent holds nobody', async () => {
  const giving = new AbortController();
  const looking = look('silent.example', giving.signal);
  await expect.poll(() => asked.length, { interval: 5 }).toBeGreaterThan(0);
  giving.abort();
  await expect(looking).rejects.toMatchObject({ code: 'ECANCELLED' });
  await expect(look('silent.example', giving.signal)).rejects.toMatchObject({ name: 'AbortError' });
});
