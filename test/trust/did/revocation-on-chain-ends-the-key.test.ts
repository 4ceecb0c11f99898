import { expect, it } from 'vitest';
import { readAgentKeys } from '../../../src/trust/chain/agent-keys.ts';
import { deployRegistry, openRegistryWriter } from '../../../src/trust/chain/registry.ts';
import { createRpc } from '../../../src/trust/chain/rpc.ts';
import { startWatcher } from '../../../src/trust/chain/watcher.ts';
import { createDenyList } from '../../../src/trust/did/deny-list.ts';
import { agentDid, parseKeyId } from '../../../src/trust/did/did-url.ts';
import { createResolver, type ResolvedKey } from '../../../src/trust/did/resolver.ts';
import { startAnvil } from '../../support/anvil.ts';
import { codeOf, isKeyOf, newIdentity, SECRET } from './world.ts';

const QUIET = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

it('on a real chain a key is served once it is safe, from memory then, and ends with its revocation', async () => {
  const anvil = await startAnvil();
  const { chainId } = anvil;
  const privateKey = anvil.accounts[0]?.privateKey ?? '';
  const account = { rpcUrl: anvil.httpUrl, chainId, privateKey };
  const { address: registry } = await deployRegistry(account);
  const writer = openRegistryWriter({ ...account, registry });
  const rpc = createRpc({ urls: [anvil.httpUrl], chainId });
  const resolver = createResolver({
    fetcher: null,
    denied: createDenyList(Date.now),
    chain: {
      async readKeys({ contract, id }) {
        const read = await readAgentKeys(rpc, { registry: contract, agentId: BigInt(id) });
        const keys = read.keys.map(({ multikey: bytes, ...key }) => ({
          ...key,
          material: { kind: 'multikey' as const, bytes },
        }));
        return { ...read, keys };
      },
    },
    chains: [{ chainId, contracts: [{ kind: 'erc8004', address: registry }] }],
    shared: null,
    sharedSecret: SECRET,
    now: Date.now,
    monotonicNow: () => performance.now(),
    log: QUIET,
  });
  let onChange: (kind: string) => void = () => undefined;
  const next = (kind: string) =>
    new Promise<number>((resolve) => {
      onChange = (heard) => {
        if (heard === kind) resolve(performance.now());
      };
    });
  const watcher = startWatcher({
    mayBeginAnew: false,
    urls: [anvil.wsUrl],
    chainId,
    registries: [{ address: registry }],
    onChanged(change) {
      if (change.kind !== 'reset')
        resolver.chainChanged({ ...change, chainId, did: agentDid(chainId, registry, change.agentId) });
      onChange('safe' in change && change.safe ? 'safe' : change.kind);
    },
    log: QUIET,
    now: Date.now,
  });
  try {
    await watcher.ready;
    const state = watcher.state();
    resolver.setStaleness(chainId, { connected: state.connected, lagMs: Date.now() - state.freshAtMs });
    resolver.watchedFrom(chainId, state.head?.number ?? 0);
    const alice = newIdentity();
    const safe = next('safe');
    const slot = { flags: 1, notAfter: 0, multikey: alice.multikey };
    const { agentId } = await writer.registerAgent({ keys: { k1: slot } });
    const keyId = parseKeyId(`${agentDid(chainId, registry, agentId)}#k1`);
    const find = async (): Promise<ResolvedKey> => await resolver.find(keyId, { safeMethod: true });
    expect(await codeOf(find)).toBe('key_unknown');
    await anvil.mine(8);
    await safe;
    const found = await find();
    expect(found.tier).toBe('chain');
    expect(isKeyOf(found, alice)).toBe(true);
    expect(resolver.admit(found)).toBe(true);
    expect(await find()).toMatchObject({ tier: 'memory' });
    const heard = next('key');
    await writer.revokeKey(agentId, 'k1');
    await heard;
    expect(resolver.admit(found)).toBe(false);
    expect(await codeOf(find)).toBe('key_unknown');
  } finally {
    resolver.close();
    writer.close();
    await watcher.close();
    await rpc.close();
    await anvil.stop();
  }
});
