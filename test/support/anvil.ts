/** A real chain for a test: what `src/trust/chain/anvil.ts` starts, with the means to move it. */
import { type Anvil, type AnvilOptions, startAnvil as start } from '../../src/trust/chain/anvil.ts';

export interface TestAnvil extends Anvil {
  /** Any call; throws what the node answers as an error. */
  call(method: string, ...params: unknown[]): Promise<unknown>;
  mine(blocks?: number): Promise<void>;
  /** Replaces the last `depth` blocks by as many empty ones. */
  reorg(depth: number): Promise<void>;
}

export async function startAnvil(options: AnvilOptions = {}): Promise<TestAnvil> {
  const anvil = await start(options);
  async function call(method: string, ...params: unknown[]): Promise<unknown> {
    const answer = await fetch(anvil.httpUrl, {
      method: 'POST',
      // A kept connection would hold up the next start on this port.
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    });
    const { result, error } = (await answer.json()) as { result?: unknown; error?: { message: string } };
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  }
  return {
    ...anvil,
    call,
    async mine(blocks = 1) {
      await call('anvil_mine', `0x${blocks.toString(16)}`);
    },
    async reorg(depth) {
      await call('anvil_reorg', depth, []);
    },
  };
}
