/**
 * The accounts that development chains (anvil, Hardhat) begin with: `test test test … junk` is everybody's. Apart from the
 * other published keys, because the SDK, which has no secp256k1, need not carry them.
 */

/** Address, and RFC 7638 thumbprint of its key. */
const ACCOUNTS: readonly (readonly [address: string, thumbprint: string])[] = [
  ['0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266', 'Xmz6FC7X_MW4qiND3nbNetI2AxEsp34eoSiWKJrYX4U'],
  ['0x70997970c51812dc3a010c7d01b50e0d17dc79c8', 'tcNDip88VmtGo8rGpDhh8vqpTg8v2xD-5cjUWoCApKg'],
  ['0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc', 'QlLZaQis8VMcehiZ2fSbg4wdEhVoWcDDCR_uNyZtlc4'],
  ['0x90f79bf6eb2c4f870365e785982e1f101e93b906', 'k8wNd_AJ5jInkfMPlJ4n5nCQuOjojHZabZkh6zjoy9I'],
  ['0x15d34aaf54267db7d7c367839aaf71a00a2c6a65', 'vY7RPmLkntdFDXEK3iyUsUc3_ePVv5w1vE9_uhXXc1I'],
  ['0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc', 'z80zK0mqamAmEgB0lFhu-9IornUvbkBF8pZhiwoSAGQ'],
  ['0x976ea74026e726554db657fa54763abd0c3a0aa9', '4OUJBwFin-usUdJsrYVkSULlFAYhcJ4Z20Yxr-pVLe0'],
  ['0x14dc79964da2c08b23698b3d3cc7ca32193d9955', 'uzZDZJtsFZTpu2Y3vbFjBoAbJt_MZm-Lfm_egdHxS0Y'],
  ['0x23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f', 'nJLVoxGL2cdg-ZLZpaCLO181MKt3UJLQEEr9TRquvGg'],
  ['0xa0ee7a142d267c1f36714e4a8f75612f20a79720', '-S86-OCj8i7sF8sOEeqkDRo2dYNQIFediUR6rJF2tyk'],
];

const PUBLISHED: ReadonlySet<string> = new Set(ACCOUNTS.flat());

/** @param name an address (0x and 40 lower-case hex digits), or the thumbprint of a key */
export function isPublishedAccount(name: string): boolean {
  return PUBLISHED.has(name);
}
