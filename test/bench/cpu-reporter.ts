/**
 * Loaded into a measured process by `--import`: tells its parent, over IPC, the CPU time it has used and what one
 * raw verification costs in this very process.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { importPublicKey } from '../../src/trust/keys/import.ts';

/** The size of a signature base with five components, as the budgets define it. */
const BASE_BYTES = 448;
const RAW_VERIFICATIONS = 4_000;

/** Median of five runs, in microseconds of CPU for one Ed25519 verification. */
function rawVerifyMicroseconds(): number {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = importPublicKey(publicKey);
  const base = Buffer.alloc(BASE_BYTES, 'a');
  const signature = sign(null, base, privateKey);
  const runs: number[] = [];
  for (let run = 0; run < 5; run += 1) {
    const before = process.cpuUsage();
    for (let i = 0; i < RAW_VERIFICATIONS; i += 1) {
      if (!key.verify(base, signature)) throw new Error('the raw verification failed');
    }
    const used = process.cpuUsage(before);
    runs.push((used.user + used.system) / RAW_VERIFICATIONS);
  }
  return runs.sort((a, b) => a - b)[2]!;
}

process.on('message', (message) => {
  if (message === 'cpu') {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicroseconds: user + system });
  } else if (message === 'raw-verify') {
    process.send?.({ rawVerifyMicroseconds: rawVerifyMicroseconds() });
  }
});
// The channel must not keep a process alive that is asked to drain.
process.channel?.unref();
