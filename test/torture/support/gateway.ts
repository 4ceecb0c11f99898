/** A gateway in a process of its own, whose death and memory show. */
import { readFileSync, rmSync } from 'node:fs';
import { execPath } from 'node:process';
import { type GatewayProcess, MAIN, spawnGateway } from '../../e2e/support/process.ts';
import {
  ALLOW_ALL,
  makeFolder,
  nextSecond,
  type Reachable,
  writeGatewayFiles,
} from '../../support/gateway.ts';

export interface TortureGateway extends Reachable, AsyncDisposable {
  readonly process: GatewayProcess;
  /** Resident memory, MB. */
  rssMb(): number;
  /** @throws when the process has ended */
  stillRuns(): void;
}

export async function startGateway(
  agents: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<TortureGateway> {
  const folder = makeFolder();
  const files = await writeGatewayFiles(folder, {
    agents,
    policy: ALLOW_ALL,
    // All come from one address, and each names another key.
    env: {
      LOG_LEVEL: 'error',
      SAGE_ENV: 'production',
      NEW_CALLERS_PER_ADDRESS_PER_MINUTE: '1000000',
      ...env,
    },
  });
  // A small heap, collected often: what grows in spite of it is kept, and what is kept long enough ends the process.
  const process = spawnGateway(files, {
    command: [execPath, '--max-old-space-size=128', '--max-semi-space-size=4', MAIN],
  });
  const reachable = await process.listening();
  let ended: number | null | undefined;
  void process.exited.then((code) => {
    ended = code ?? -1;
  });
  await nextSecond();
  return {
    ...reachable,
    process,
    rssMb() {
      const status = readFileSync(`/proc/${process.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
    },
    stillRuns() {
      if (ended !== undefined) throw new Error(`the gateway ended with ${ended}: ${process.stderr()}`);
    },
    async [Symbol.asyncDispose]() {
      await process[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
