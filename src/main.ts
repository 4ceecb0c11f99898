/** Starts the gateway, says where it listens, and drains it on SIGTERM or SIGINT. */
import type { AddressInfo } from 'node:net';
import { buildGateway } from './app.ts';
import { type Env, readEnv } from './env.ts';
import { drain } from './gateway/listener/drain.ts';

/** Ends the process with what can be said before there is a logger; one message, whatever the number of faults. */
export function fail(error: unknown): never {
  const known = error instanceof Error && 'code' in error;
  process.stderr.write(
    `sage-gateway: ${known ? `${error.message} [${String(error.code)}]` : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(1);
}

function addressInUse(error: unknown, host: string, port: number): unknown {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') return error;
  return Object.assign(new Error(`port ${port} on ${host} is in use; set PORT, or stop what listens there`), {
    code: 'EADDRINUSE',
  });
}

export interface Running {
  /** Where it listens. */
  readonly origin: string;
  /** Drains it, as a signal does; the first signal after it changes nothing. */
  readonly stop: (signal: string) => Promise<void>;
}

/**
 * Starts a gateway; resolves when it listens.
 * @throws what keeps it from starting, with a message for the operator
 */
export async function start(env: Env): Promise<Running> {
  const app = await buildGateway(env);
  try {
    await app.listen({ host: env.host, port: env.port });
  } catch (error) {
    await app.close();
    throw addressInUse(error, env.host, env.port);
  }
  const { port } = app.server.address() as AddressInfo;
  const host = env.host.includes(':') ? `[${env.host}]` : env.host;
  let stopping: Promise<void> | null = null;
  const drained = async (signal: string): Promise<void> => {
    app.log.info({ signal, timeoutMs: env.drainTimeoutMs }, 'draining');
    app.log.info(await drain(app, { timeoutMs: env.drainTimeoutMs }), 'drained');
  };
  return {
    origin: `${env.tls === null ? 'http' : 'https'}://${host}:${port}`,
    // A second signal is impatience: the drain is bounded already.
    stop: (signal) => (stopping ??= drained(signal)),
  };
}

/** Drains on SIGTERM and SIGINT, then `after`, then ends the process. */
export function stopOnSignal({ stop }: Running, after: () => void = () => undefined): void {
  const end = (signal: string): void => {
    stop(signal).then(() => {
      after();
      process.exitCode = 0;
      // Whatever still holds the loop has had its time.
      setTimeout(() => process.exit(0), 100).unref();
    }, fail);
  };
  process.on('SIGTERM', () => end('SIGTERM'));
  process.on('SIGINT', () => end('SIGINT'));
}

/** The gateway as a process: started by its environment, ended by a signal. @throws as `start` does */
export async function serve(): Promise<void> {
  const running = await start(readEnv());
  process.stdout.write(`sage-gateway listening on ${running.origin}\n`);
  stopOnSignal(running);
}

if (import.meta.main) serve().catch(fail);
