/**
 * A closed-loop HTTP/1.1 load over loopback: each of N connections sends its next prepared request when the
 * answer to the last one is complete. Run as a child process; the parent sends a `LoadOrder`, gets a `LoadReport`.
 */
import { connect, type Socket } from 'node:net';
import { prepareRequests, type RequestPlan } from './requests.ts';

export interface LoadOrder {
  readonly port: number;
  readonly connections: number;
  readonly requests: number;
  readonly plan: RequestPlan;
}

export interface LoadReport {
  readonly answered: number;
  readonly failed: number;
  readonly milliseconds: number;
  readonly firstFailure: string;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const CHUNKS_END = Buffer.from('0\r\n\r\n');

/** Length of the first complete response in `data`, or 0 when it is not complete yet. */
function responseLength(data: Buffer): number {
  const headEnd = data.indexOf(HEAD_END);
  if (headEnd < 0) return 0;
  const head = data.toString('latin1', 0, headEnd).toLowerCase();
  const length = /\r\ncontent-length: *(\d+)/.exec(head);
  if (length !== null) {
    const total = headEnd + 4 + Number(length[1]);
    return data.length >= total ? total : 0;
  }
  const end = data.indexOf(CHUNKS_END, headEnd + 2);
  return end < 0 ? 0 : end + CHUNKS_END.length;
}

function runConnection(
  port: number,
  next: () => Buffer | undefined,
  onAnswer: (head: Buffer) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let held: Buffer = Buffer.alloc(0);
    const socket: Socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    const send = (): void => {
      const request = next();
      if (request === undefined) socket.end();
      else socket.write(request);
    };
    socket.on('connect', send);
    socket.on('data', (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const length = responseLength(held);
      if (length === 0) return;
      onAnswer(held);
      held = held.subarray(length);
      send();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

async function load(order: LoadOrder): Promise<LoadReport> {
  const requests = prepareRequests(order.plan, order.requests, order.port);
  let index = 0;
  let answered = 0;
  let failed = 0;
  let firstFailure = '';
  const startedAt = performance.now();
  const loops = Array.from({ length: order.connections }, () =>
    runConnection(
      order.port,
      () => requests[index++],
      (answer) => {
        answered += 1;
        if (answer.toString('latin1', 9, 12) === '200') return;
        failed += 1;
        firstFailure ||= answer.toString('latin1').slice(0, 600);
      },
    ),
  );
  await Promise.all(loops);
  return { answered, failed, milliseconds: performance.now() - startedAt, firstFailure };
}

process.on('message', (order) => {
  load(order as LoadOrder).then(
    (report) => process.send?.(report),
    (error: Error) =>
      process.send?.({ answered: 0, failed: 1, milliseconds: 0, firstFailure: error.message }),
  );
});
