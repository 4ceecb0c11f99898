import { Contract, Interface, JsonRpcProvider } from 'ethers';
import { expect, test } from 'vitest';
import artifact from '../../../src/trust/chain/contracts/SageAgentRegistry.artifact.json' with {
  type: 'json',
};
import { encodeKeySlot } from '../../../src/trust/chain/key-slot.ts';
import { someKey, startChain } from './fixture.ts';

/** From the text of ERC-8004 ("Identity Registry") and of ERC-721. */
const STANDARD = [
  'function register() returns (uint256 agentId)',
  'function register(string agentURI) returns (uint256 agentId)',
  'function register(string agentURI, tuple(string metadataKey, bytes metadataValue)[] metadata) returns (uint256 agentId)',
  'function getMetadata(uint256 agentId, string metadataKey) view returns (bytes)',
  'function setMetadata(uint256 agentId, string metadataKey, bytes metadataValue)',
  'function setAgentURI(uint256 agentId, string newURI)',
  'function tokenURI(uint256 tokenId) view returns (string)',
  'function ownerOf(uint256 tokenId) view returns (address)',
  'event Registered(uint256 indexed agentId, string agentURI, address indexed owner)',
  'event MetadataSet(uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue)',
  'event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy)',
  'event Transfer(address indexed from, address indexed to, uint256 indexed tokenId)',
];

test('the registry has the functions and events of the standard, parameter for parameter', () => {
  const ours = new Interface(artifact.abi).fragments.map((fragment) => fragment.format('full'));
  for (const fragment of new Interface(STANDARD).fragments) expect(ours).toContain(fragment.format('full'));
});

test('what was set is read back; a sale keeps the metadata of the standard and empties the key slots', async () => {
  await using chain = await startChain();
  const provider = new JsonRpcProvider(chain.anvil.httpUrl, 31337, { staticNetwork: true, cacheTimeout: -1 });
  const registry = new Contract(chain.registry, artifact.abi, provider);
  const read = (method: string, ...args: unknown[]): Promise<unknown> =>
    registry.getFunction(method).staticCall(...args);
  const key = someKey();
  const { agentId } = await chain.owner.registerAgent({
    uri: 'https://agent.example/one',
    keys: { main: key },
  });
  await chain.owner.setMetadata(agentId, 'agentName', Uint8Array.of(1, 2));
  await chain.owner.setAgentUri(agentId, 'https://agent.example/two');
  expect(await read('tokenURI', agentId)).toBe('https://agent.example/two');
  const slot = `0x${Buffer.from(encodeKeySlot(key)).toString('hex')}`;
  expect(await read('getMetadata', agentId, 'did/vm/main')).toBe(slot);

  const buyer = chain.writer(1);
  await chain.owner.transferAgent(agentId, buyer.account);
  expect(await read('getMetadata', agentId, 'agentName')).toBe('0x0102');
  expect(await read('getMetadata', agentId, 'did/vm/main')).toBe('0x');
  expect(await read('ownerOf', agentId)).toMatch(new RegExp(buyer.account, 'i'));
  provider.destroy();
});
