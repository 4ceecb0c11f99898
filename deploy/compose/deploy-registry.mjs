/**
 * Puts the registry on anvil's chain and ends; for docker-compose.yml. It lies beside the package's `dist`. The key is the
 * first of anvil's well-known ones: it owns nothing anywhere else.
 */
import { setTimeout } from 'node:timers/promises';
import { deployRegistry } from './dist/trust/chain/registry.js';

const PRIVATE_KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80';
const [rpcUrl = 'http://127.0.0.1:8545'] = process.argv.slice(2);
/** Of anvil's first account, its first transaction. */
const EXPECTED = '0x5fbdb2315678afecb367f032d93f642f64180aa3';

/** How long the chain may take to start. */
const START_TIMEOUT_MS = 30_000;

async function ask(method, ...params) {
  const answer = await fetch(rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  return (await answer.json()).result;
}

async function untilAnswered(question) {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await question();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await setTimeout(250);
    }
  }
}

if ((await untilAnswered(() => ask('eth_getCode', EXPECTED, 'latest'))) === '0x') {
  const { address } = await deployRegistry({ rpcUrl, chainId: 31_337, privateKey: PRIVATE_KEY });
  if (address !== EXPECTED) throw new Error(`the registry is at ${address}: this chain was used before`);
}
console.log(`the registry is at ${EXPECTED}`);
