/** Requests signed by the reference implementation of ERC-8128 and wallets of ethers. */
import { type EthHttpSigner, signRequest } from '@slicekit/erc8128';
import { Wallet } from 'ethers';
import type { Reachable } from '../../support/gateway.ts';
import type { Call } from './callers.ts';

export type WalletOptions = Parameters<typeof signRequest>[3];

/** A new account on a chain. */
export function newWallet(chainId: number): EthHttpSigner {
  const wallet = Wallet.createRandom();
  return {
    chainId,
    address: wallet.address as `0x${string}`,
    signMessage: async (message) => (await wallet.signMessage(message)) as `0x${string}`,
  };
}

export interface WalletRequest {
  readonly target: string;
  /** JSON; posted when there is one. */
  readonly body?: string;
  readonly options?: WalletOptions;
}

export async function signedByWallet(
  by: EthHttpSigner,
  { origin }: Pick<Reachable, 'origin'>,
  { target, body, options }: WalletRequest,
): Promise<Call> {
  const init =
    body === undefined ? {} : { method: 'POST', body, headers: { 'content-type': 'application/json' } };
  const request = await signRequest(new URL(target, origin).href, init, by, options);
  return {
    method: request.method,
    target,
    headers: [...request.headers],
    ...(body === undefined ? {} : { body: Buffer.from(body) }),
  };
}
