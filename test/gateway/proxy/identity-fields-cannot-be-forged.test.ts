import { afterEach, expect, test } from 'vitest';
import { CALLER } from './gateway.ts';
import { closeAll, gatewayTo, httpUpstream, rawExchange } from './upstreams.ts';

afterEach(closeAll);

/** Calls with extra raw header lines; gives the fields the upstream got, as name, value pairs in lower case. */
async function fieldsSeen(
  lines: readonly string[],
  options: Parameters<typeof gatewayTo>[1] = {},
): Promise<[string, string][]> {
  const url = await httpUpstream((req, res) => {
    const pairs: [string, string][] = [];
    for (let i = 0; i < req.rawHeaders.length; i += 2) {
      pairs.push([(req.rawHeaders[i] ?? '').toLowerCase(), req.rawHeaders[i + 1] ?? '']);
    }
    res.end(JSON.stringify(pairs));
  });
  const gateway = await gatewayTo([url], options);
  const head = ['GET /agents/echo/ HTTP/1.1', 'Host: public.example', ...lines, '', ''].join('\r\n');
  const text = await rawExchange(gateway.port, head, (seen) => /\]\]/.test(seen));
  return JSON.parse(text.slice(text.indexOf('[['), text.lastIndexOf(']]') + 2)) as [string, string][];
}

function valuesOf(pairs: [string, string][], name: string): string[] {
  return pairs.filter(([key]) => key === name).map(([, value]) => value);
}

test.each([
  'X-Sage-Verified-Did: did:evil:1',
  'x-sage-verified-did: did:evil:1',
  'X_SAGE_VERIFIED_DID: did:evil:1',
  'x_sage-verified_did: did:evil:1',
  'x.sage.verified.did: did:evil:1',
  'X-Sage-Key-Id: did:evil:1',
  'X-Sage-Auth-Method: did:evil:1',
  'X-Sage-Anything-New: did:evil:1',
  'X-Request-Id: did:evil:1',
  'X_Request_Id: did:evil:1',
  'Traceparent: did:evil:1',
  'tracestate: did:evil:1',
  'X-Forwarded-For: did:evil:1',
  'X_Forwarded_For: did:evil:1',
  'X-Forwarded-Proto: did:evil:1',
  'X-Forwarded-Host: did:evil:1',
  'X-Forwarded-Prefix: did:evil:1',
  'Forwarded: for=did:evil:1',
  'X-Real-IP: did:evil:1',
  'X-Client-IP: did:evil:1',
  'X_Cluster_Client_IP: did:evil:1',
  'Client-IP: did:evil:1',
  'True-Client-IP: did:evil:1',
  'CF-Connecting-IP: did:evil:1',
  'X-Host: did:evil:1',
  'X-Original-Host: did:evil:1',
  'X-Original-URL: /did:evil:1',
  'X-Rewrite-URL: /did:evil:1',
  'X-HTTP-Method-Override: did:evil:1',
  'Proxy-Authorization: did:evil:1',
  'Proxy-Connection: did:evil:1',
  'Keep-Alive: did:evil:1',
  'Transfer_Encoding: did:evil:1',
  'Content_Length: 661661661',
])('%s does not reach the agent', async (line) => {
  const pairs = await fieldsSeen([line]);
  expect(JSON.stringify(pairs)).not.toContain('did:evil:1');
  expect(JSON.stringify(pairs)).not.toContain('661661661');
  expect(valuesOf(pairs, 'x-sage-verified-did')).toEqual([CALLER.did]);
});

test.each([
  'x-sage-verified-did',
  'X-Sage-Verified-Did, x-sage-key-id, X-Request-Id, traceparent, via, host, x-forwarded-for',
  'close, x-sage-verified-did',
])('Connection: %s cannot strip what the gateway says', async (listed) => {
  const pairs = await fieldsSeen([`Connection: ${listed}`]);
  expect(valuesOf(pairs, 'x-sage-verified-did')).toEqual([CALLER.did]);
  expect(valuesOf(pairs, 'x-sage-key-id')).toEqual([CALLER.keyId]);
  expect(valuesOf(pairs, 'x-sage-auth-method')).toEqual(['signature']);
  expect(valuesOf(pairs, 'x-request-id')).toEqual(['req-1']);
  expect(valuesOf(pairs, 'traceparent')).toEqual(['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01']);
  expect(valuesOf(pairs, 'x-forwarded-for')).toEqual(['203.0.113.9']);
  expect(valuesOf(pairs, 'via')).toEqual(['1.1 sage']);
});

test('Connection strips what it lists, but not credentials, signatures or covered fields', async () => {
  const pairs = await fieldsSeen([
    'Connection: X-Hop, Authorization, Signature, X-Tenant, X-Role',
    'X-Hop: 1',
    'X-Keep: 2',
    'Authorization: Bearer a',
    'Signature: sig=:AA==:',
    'X-Tenant: acme',
    'X-Role: reader',
  ]);
  expect(valuesOf(pairs, 'x-hop')).toEqual([]);
  expect(valuesOf(pairs, 'x-keep')).toEqual(['2']);
  expect(valuesOf(pairs, 'authorization')).toEqual(['Bearer a']);
  expect(valuesOf(pairs, 'signature')).toEqual(['sig=:AA==:']);
  expect(valuesOf(pairs, 'x-tenant')).toEqual(['acme']);
  // Covered as `"x-role";bs`.
  expect(valuesOf(pairs, 'x-role')).toEqual(['reader']);
});

test('an anonymous caller is called none, and has no DID', async () => {
  const pairs = await fieldsSeen(['X-Sage-Verified-Did: did:evil:1'], { caller: null });
  expect(valuesOf(pairs, 'x-sage-auth-method')).toEqual(['none']);
  expect(valuesOf(pairs, 'x-sage-verified-did')).toEqual([]);
  expect(valuesOf(pairs, 'x-sage-key-id')).toEqual([]);
});

test('a trusted proxy is continued', async () => {
  const pairs = await fieldsSeen(
    [
      'X-Forwarded-For: 198.51.100.7',
      'X-Forwarded-For: 198.51.100.8',
      'X-Forwarded-Proto: https',
      'Via: 1.1 edge',
    ],
    { peerTrusted: true },
  );
  expect(valuesOf(pairs, 'x-forwarded-for')).toEqual(['198.51.100.7, 198.51.100.8, 203.0.113.9']);
  expect(valuesOf(pairs, 'x-forwarded-proto')).toEqual(['https']);
  expect(valuesOf(pairs, 'x-forwarded-host')).toEqual(['public.example']);
  expect(valuesOf(pairs, 'via')).toEqual(['1.1 edge, 1.1 sage']);
});

test('Host is the upstream, end-to-end fields pass with their case and order', async () => {
  const pairs = await fieldsSeen([
    'Accept: a/b',
    'X-Multi: 1',
    'X-Multi: 2',
    'Cookie: a=1',
    'TE: trailers',
    'Upgrade: h2c',
    'Trailer: x',
  ]);
  expect(valuesOf(pairs, 'host')[0]).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(valuesOf(pairs, 'x-multi')).toEqual(['1', '2']);
  expect(valuesOf(pairs, 'cookie')).toEqual(['a=1']);
  for (const name of ['te', 'upgrade', 'trailer', 'expect']) expect(valuesOf(pairs, name)).toEqual([]);
});
