/** Starts the gateway, says where it listens, and drains it on SIGTERM or SIGINT. */
import type { AddressInfo } from 'node:net';
import { buildGateway } from './app.ts';
import { readEnv } from './env.ts';
import { drain } from './gateway/listener/drain.ts';

/** Ends the process with what can be said before there is a logger; one message, whatever the number of faults. */
export function fail(error: unknown): never {
  const known = error instanceof Error && 'code' in error;
  process.stderr.write(
    `sage-gateway: ${known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
}

function addressInUse(error: unknown, host: string, port: number): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  return Object.assign(new Error(`port ${port} on ${host} is in use; set PORT, or stop what listens there`), {
    code: 'EADDRINUSE',
  });
}

/**
 * Starts the gateway and resolves when it listens; the process then ends by a signal.
 * @throws what keeps it from starting, with a message for the operator
 */
export async function serve(): Promise<void> {
  const env = readEnv();
  const app = await buildGateway(env);
  try {
    await app.listen({ host: env.host, port: env.port });
  } catch (error) {
    await app.close();
    throw addressInUse(error, env.host, env.port);
  }
  const { port } = app.server.address() as AddressInfo;
  const host = env.host.includes(':') ? `[${env.host}]` : env.host;
  process.stdout.write(
    `sage-gateway listening on ${env.tls === null ? 'http' : 'https'}://${host}:${port}\n`,
  );
  let stopping = false;
  const stop = (signal: string): void => {
    // A second signal is impatience: the drain is bounded already.
    if (stopping) return;
    stopping = true;
    app.log.info({ signal, timeoutMs: env.drainTimeoutMs }, 'draining');
    drain(app, { timeoutMs: env.drainTimeoutMs }).then((report) => {
      app.log.info(report, 'drained');
      process.exitCode = 0;
      // Whatever still holds the loop has had its time.
      setTimeout(() => process.exit(0), 100).unref();
    }, fail);
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

if (import.meta.main) serve().catch(fail);
