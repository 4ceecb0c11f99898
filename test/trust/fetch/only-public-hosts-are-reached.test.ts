import { describe, expect, test } from 'vitest';
import { addressesOf, isPublic } from '../../../src/trust/fetch/addresses.ts';
import { certificateFor } from '../../support/tls.ts';
import { closedPort, faultOf, fetcherFor, HOST, host, hostAt, JSON_TYPE } from './hosts.ts';

const NOT_PUBLIC = [
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '192.168.1.1',
  '100.64.0.1',
  '169.254.169.254',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '203.0.113.7',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  'fe80::1',
  'fe80::1%eth0',
  'fc00::1',
  'fd00:ec2::254',
  'fec0::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::a00:1',
  '2002:7f00:1::1',
  '2001:0:1::1',
  '2001:db8::1',
  '3fff::1',
  '4000::1',
  '100::1',
  '5f00::1',
  '127.1',
  '2130706433',
  '0177.0.0.1',
  '0x7f.0.0.1',
  'localhost',
  '',
];

describe('addresses', () => {
  test.each(NOT_PUBLIC)('%s is not public', (address) => {
    expect(isPublic(address)).toBe(false);
  });

  test.each(['1.1.1.1', '93.184.216.34', '2606:4700:4700::1111', '2a00:1450:4001:800::200e'])(
    '%s is',
    (address) => {
      expect(isPublic(address)).toBe(true);
    },
  );

  test.each(NOT_PUBLIC)('a name that leads to %s beside a public address is refused', async (address) => {
    const mixed = addressesOf(HOST, async () => ['1.1.1.1', address], false, AbortSignal.timeout(1_000));
    expect(await faultOf(mixed)).toBe('fetch_address_refused');
  });
});

describe('a fetch', () => {
  test('that leads to loopback makes no connection', async () => {
    await using there = await host((_request, response) => void response.end('{}'));
    const fetcher = await fetcherFor({ allowPrivateHosts: false });
    expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe(
      'fetch_address_refused',
    );
    expect(there.connections()).toBe(0);
  });

  test('asks for the name once, and connects to what was checked', async () => {
    let trapped = 0;
    await using there = await host((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    await using _trap = await hostAt('127.0.0.2', there.port, () => {
      trapped += 1;
    });
    let asked = 0;
    const lookup = async () => {
      asked += 1;
      return [asked === 1 ? '127.0.0.1' : '127.0.0.2'];
    };
    const fetcher = await fetcherFor({ lookup });
    expect(await fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE })).toMatchObject({ kind: 'body' });
    expect([asked, there.connections(), trapped]).toEqual([1, 1, 0]);
  });

  test('goes on to the next address where one does not answer', async () => {
    await using there = await host((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    const fetcher = await fetcherFor({ lookup: async () => ['127.0.0.3', '127.0.0.1'] });
    expect(await fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE })).toMatchObject({ kind: 'body' });
  });

  test.each([
    ['http', (url: URL) => Object.assign(url, { protocol: 'http:' })],
    [
      'a user name (localhost through %40)',
      (url: URL) => Object.assign(url, { username: HOST, hostname: 'localhost' }),
    ],
    ['a password', (url: URL) => Object.assign(url, { password: 'x' })],
    ['a query', (url: URL) => Object.assign(url, { search: '?x' })],
    ['a fragment', (url: URL) => Object.assign(url, { hash: '#x' })],
    ['an IPv4 address', (url: URL) => Object.assign(url, { hostname: '127.0.0.1' })],
    ['an IPv4 address as one number', (url: URL) => Object.assign(url, { hostname: '2130706433' })],
    ['an IPv6 address', (url: URL) => Object.assign(url, { hostname: '[::1]' })],
  ])('of a URL with %s is refused', async (_name, change) => {
    await using there = await host((_request, response) => void response.end('{}'));
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url: change(there.url()), mediaTypes: JSON_TYPE }))).toBe(
      'fetch_url_refused',
    );
    expect(there.connections()).toBe(0);
  });

  test.each([
    ['by a certificate of another name', async () => certificateFor(['other.example'])],
    ['by a certificate that nobody signed', async () => certificateFor([HOST])],
  ])('of a host that proves its name %s is refused', async (_name, of) => {
    const shown = await of();
    let requests = 0;
    await using there = await host((_request, response) => {
      requests += 1;
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    }, shown);
    const other = _name.includes('another') ? await fetcherFor({ ca: shown.ca }) : await fetcherFor();
    expect(await faultOf(other.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe('fetch_untrusted');
    expect(requests).toBe(0);
  });

  test('cannot be made to trust anybody by a variable of the environment', async () => {
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      await using there = await host(() => undefined, await certificateFor([HOST]));
      const fetcher = await fetcherFor();
      expect(await faultOf(fetcher.fetch({ url: there.url(), mediaTypes: JSON_TYPE }))).toBe(
        'fetch_untrusted',
      );
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });

  test('of a name that does not resolve, or where nobody listens, says so', async () => {
    const nowhere = await fetcherFor({
      lookup: async () => {
        throw new Error('NXDOMAIN');
      },
    });
    const url = new URL(`https://${HOST}:${await closedPort()}/doc`);
    expect(await faultOf(nowhere.fetch({ url, mediaTypes: JSON_TYPE }))).toBe('fetch_name_unresolved');
    const fetcher = await fetcherFor();
    expect(await faultOf(fetcher.fetch({ url, mediaTypes: JSON_TYPE }))).toBe('fetch_unreachable');
  });
});
