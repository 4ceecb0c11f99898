/** What Web Bot Auth asks of a signature before any directory is fetched; the rest is in test/e2e. */
import { beforeEach, describe, expect, test } from 'vitest';
import { generateSigningKey } from '../../../src/trust/keys/signing.ts';
import { BODY, newNonce, openProfileBench, type ProfileBench, type Shown } from './profile-world.ts';

const bot = generateSigningKey('ed25519');
const THUMBPRINT = 'poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U';
/** Nothing is configured to fetch it: the claim was good as far as the message goes. */
const ASKED = 'did_method_unsupported';
let bench: ProfileBench;
beforeEach(() => {
  bench = openProfileBench();
});

const shown = (more: Partial<Shown> = {}, params: Shown['params'] = {}): Shown => ({
  components: ['@authority', 'signature-agent'],
  fields: [['signature-agent', '"https://bot.example"']],
  sign: (base) => bot.signing.sign(base),
  ...more,
  params: {
    created: bench.now(),
    expires: bench.now() + 60,
    keyid: THUMBPRINT,
    alg: 'ed25519',
    nonce: newNonce(),
    tag: 'web-bot-auth',
    ...params,
  },
});
const ask = (...args: Parameters<typeof shown>) => bench.ask(['web-bot-auth'], shown(...args));
const agent = (value: string): Partial<Shown> => ({ fields: [['signature-agent', value]] });

describe('is asked for', () => {
  test.each<[string, () => [Partial<Shown>?, Shown['params']?]]>([
    ["the draft's own coverage of a GET", () => []],
    ['of a HEAD', () => [{ method: 'HEAD' }]],
    ['target instead of authority', () => [{ components: ['@target-uri', 'signature-agent'] }]],
    ['a field with a slash at its end', () => [agent('"https://bot.example/"')]],
    ['a host with a port', () => [agent('"https://bot.example:8443"')]],
    ['the field as a Dictionary, covered as a whole', () => [agent('sig1="https://bot.example"')]],
    [
      'its member alone covered',
      () => [
        {
          ...agent('other="https://x.example", sig1="https://bot.example"'),
          components: ['@authority', '"signature-agent";key="sig1"'],
        },
      ],
    ],
    [
      'a POST that covers everything',
      () => [
        {
          method: 'POST',
          body: BODY,
          components: ['@method', '@target-uri', 'content-digest', 'signature-agent'],
        },
      ],
    ],
  ])('%s', async (_what, made) => {
    expect(await ask(...made())).toBe(ASKED);
  });
});

describe('is refused', () => {
  test.each<[string, string, () => [Partial<Shown>?, Shown['params']?]]>([
    ['another tag', 'signature_not_found', () => [{}, { tag: 'web-bot-auth2' }]],
    ['no expires', 'parameter_missing', () => [{}, { expires: undefined }]],
    ['no nonce', 'parameter_missing', () => [{}, { nonce: undefined }]],
    ['no field', 'component_missing', () => [{ fields: [], components: ['@authority'] }]],
    ['the field not covered', 'coverage_insufficient', () => [{ components: ['@authority'] }]],
    [
      'the authority not covered',
      'coverage_insufficient',
      () => [{ components: ['@path', 'signature-agent'] }],
    ],
    ['a POST of the draft alone', 'coverage_insufficient', () => [{ method: 'POST' }]],
    [
      'a GET with credentials of the draft alone',
      'coverage_insufficient',
      () => [
        {
          fields: [
            ['signature-agent', '"https://bot.example"'],
            ['authorization', 'Bearer x'],
          ],
        },
      ],
    ],
    ['a body of the draft alone', 'coverage_insufficient', () => [{ method: 'POST', body: BODY }]],
    ['a shared secret', 'algorithm_unsupported', () => [{}, { alg: 'hmac-sha256' }]],
    ['a key id that is no thumbprint', 'did_malformed', () => [{}, { keyid: 'key-1' }]],
    [
      'one of several members under another label',
      'coverage_insufficient',
      () => [agent('sig1="https://bot.example", other="https://x.example"')],
    ],
    ["another label's member", 'field_disagrees', () => [agent('other="https://bot.example"')]],
    ['http', 'field_disagrees', () => [agent('"http://bot.example"')]],
    ['data', 'field_disagrees', () => [agent('"data:application/json,{}"')]],
    ['a path', 'field_disagrees', () => [agent('"https://bot.example/keys"')]],
    ['a query', 'field_disagrees', () => [agent('"https://bot.example?x"')]],
    ['user information', 'field_disagrees', () => [agent('"https://a@bot.example"')]],
    ['a token', 'field_disagrees', () => [agent('bot')]],
    ['upper case', 'did_malformed', () => [agent('"https://Bot.example"')]],
    ['an address', 'did_malformed', () => [agent('"https://127.0.0.1"')]],
    ['an address of six', 'did_malformed', () => [agent('"https://[::1]"')]],
    ['percent signs', 'did_malformed', () => [agent('"https://bot%2eexample"')]],
    ['too old', 'signature_too_old', () => [{}, { created: bench.now() - 66 }]],
    ['expired', 'signature_expired', () => [{}, { created: bench.now() - 10, expires: bench.now() - 1 }]],
  ])('%s: %s', async (_what, code, made) => {
    expect(await ask(...made())).toBe(code);
  });
});
