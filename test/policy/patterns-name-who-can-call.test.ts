import { expect, test } from 'vitest';
import { didPatternFault } from '../../src/policy/syntax.ts';

const ADDRESS = '0x5fbdb2315678afecb367f032d93f642f64180aa3';
const CHECKSUMMED = '0x5FbDB2315678afecb367f032d93F642f64180aa3';

test.each([
  `did:ethr:${ADDRESS}`,
  'did:ethr:*',
  `did:ethr:0xaa36a7:${ADDRESS}`,
  'did:ethr:0xaa36a7:*',
  'did:sage:ethereum:agent-1',
  'did:sage:ethereum:Agent-1',
  'did:sage:*',
  'did:sage:e*',
  `did:pkh:eip155:1:${ADDRESS}`,
  'did:example:whoever',
])('%s can be somebody', (pattern) => {
  expect(didPatternFault(pattern)).toBeNull();
});

test.each([
  [`did:ethr:${CHECKSUMMED}`, /lower case/],
  [`did:ethr:mainnet:${ADDRESS}`, new RegExp(`known as .did:ethr:${ADDRESS}`)],
  [`did:ethr:0x1:${ADDRESS}`, new RegExp(`known as .did:ethr:${ADDRESS}`)],
  ['did:ethr:sepolia:*', /no caller's DID begins/],
  ['did:sage:eth:agent-1', /known as .did:sage:ethereum:agent-1/],
  ['did:sage:eth:*', /no caller's DID begins/],
  ['did:sage:Ethereum:*', /no caller's DID begins/],
  ['did:sage:solana:*', /no caller's DID begins/],
  [`did:pkh:eip155:1:${CHECKSUMMED}`, /lower case/],
])('%s is nobody, and says so: a rule of it would deny nothing', (pattern, why) => {
  expect(didPatternFault(pattern)).toMatch(why);
});
