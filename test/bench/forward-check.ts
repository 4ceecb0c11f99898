/**
 * Holds the proxy alone against the floor: alternating passes, CPU time per request of each process from /proc, the
 * load from this process over plain sockets. `node test/bench/forward-check.ts [requests per pass] [passes]`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const REQUESTS = Number(process.argv[2] ?? 4_000);
const PASSES = Number(process.argv[3] ?? 60);
const CONNECTIONS = 32;
interface Server {
  readonly child: ChildProcess;
  readonly port: number;
}

async function start(script: string, ...args: string[]): Promise<Server> {
  const child = spawn(process.execPath, [new URL(script, import.meta.url).pathname, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('no standard output');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { child, port: (JSON.parse(line) as { port: number }).port };
}

/** What all threads of the process have run, from the scheduler: nanoseconds, where `stat` counts in 10 ms. */
function cpuMicroseconds(pid: number): number {
  let nanoseconds = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  }
  return nanoseconds / 1_000;
}

/** Sends `count` requests, one at a time on each connection; every answer must be a 200 of the same length. */
async function load(port: number, count: number): Promise<void> {
  const request = Buffer.from(
    `GET /agents/open/weather?city=vienna HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\naccept: application/json\r\n` +
      'user-agent: sage-bench/1\r\nx-tenant: bench\r\naccept-encoding: gzip\r\n\r\n',
  );
  let left = count;
  const loop = async (): Promise<void> => {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    let head = '';
    await new Promise<void>((resolve, reject) => {
      const next = (): void => {
        if (left-- <= 0) {
          socket.destroy();
          resolve();
        } else socket.write(request);
      };
      socket.on('error', reject);
      socket.on('data', (chunk: Buffer) => {
        head += chunk.toString('latin1');
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? Number.NaN);
        if (!head.startsWith('HTTP/1.1 200') || Number.isNaN(length))
          reject(new Error(`unexpected answer: ${head}`));
        if (head.length < end + 4 + length) return;
        head = '';
        next();
      });
      next();
    });
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
}

async function measure(server: Server): Promise<number> {
  const pid = server.child.pid ?? 0;
  const before = cpuMicroseconds(pid);
  await load(server.port, REQUESTS);
  return (cpuMicroseconds(pid) - before) / REQUESTS;
}

function quantile(values: number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? Number.NaN;
}

const upstream = await start('./upstream.ts');
const origin = `http://127.0.0.1:${upstream.port}`;
const floor = await start('./floor.ts', origin);
const forward = await start('./forward-server.ts', origin);
try {
  for (const server of [floor, forward]) await load(server.port, 20_000);
  const floors: number[] = [];
  const forwards: number[] = [];
  for (let pass = 0; pass < PASSES; pass++) {
    floors.push(await measure(floor));
    forwards.push(await measure(forward));
  }
  const report = (share: number): Record<string, number> => {
    const [low, high] = [quantile(floors, share), quantile(forwards, share)];
    return {
      floor_us: Number(low.toFixed(2)),
      forward_us: Number(high.toFixed(2)),
      ratio: Number((high / low).toFixed(3)),
    };
  };
  // The lower quantiles are the steadier ones on a machine that does other things meanwhile.
  console.log(JSON.stringify({ median: report(0.5), quartile: report(0.25), decile: report(0.1) }));
} finally {
  for (const server of [floor, forward, upstream]) server.child.kill();
}
