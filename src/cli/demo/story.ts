/** The story, step by step: what is done, what is expected, what came back. */

import { agentDid } from '../../trust/did/did-url.ts';
import type { SignatureAlgorithm } from '../../trust/keys/key.ts';
import { generateSigningKey } from '../../trust/keys/signing.ts';
import type { Signer } from '../../trust/sign-request.ts';
import {
  type Answer,
  type Call,
  callHttp1,
  callHttp2,
  openEventStream,
  openSlowUpload,
  openWebSocket,
} from './client.ts';
import { EVENT_INTERVAL_MS } from './sample-agents.ts';
import type { Table } from './table.ts';
import { SHARED_ORIGIN, type World } from './world.ts';

const TODAY = '/agents/weather/today?city=Seoul';
const FRAGILE = '/agents/fragile/today';
const JSON_FIELDS = [['content-type', 'application/json']] as const;
/** More calls than the limit's burst allows at once. */
const FLOOD_CALLS = 60;
/** Calls to a dead agent until its circuit must have opened. */
const FAILING_CALLS = 12;
/** A circuit lets a probe through 5 s after it opened. */
const HEAL_TIMEOUT_MS = 9_000;
const REVOCATION_TIMEOUT_MS = 5_000;
/** An event that waited for the next one in some buffer would be at least this late. */
const PROMPT_MS = EVENT_INTERVAL_MS / 2;

interface Expected {
  readonly status: number;
  readonly code?: string;
}

function show(answer: { readonly status: number; readonly code: string }): string {
  return answer.code === '' ? String(answer.status) : `${answer.status} ${answer.code}`;
}

/** The problem document's code, or empty for what is none. */
function codeOf(answer: Answer): string {
  if (answer.headers['content-type'] !== 'application/problem+json') return '';
  return String(JSON.parse(answer.body || '{}').code ?? '');
}

export class Story {
  readonly #world: World;
  readonly #table: Table;

  constructor(world: World, table: Table) {
    this.#world = world;
    this.#table = table;
  }

  async play(): Promise<void> {
    await this.#served();
    await this.#refused();
    await this.#limited();
    await this.#circuit();
    await this.#streams();
    await this.#revoked();
    if (this.#world.shared) await this.#sharedByTwo();
    await this.#restarted();
  }

  #check(step: string, answer: Answer, expected: Expected, note = ''): boolean {
    const got = { status: answer.status, code: codeOf(answer) };
    const wanted = { status: expected.status, code: expected.code ?? '' };
    const ok =
      got.status === wanted.status && (wanted.code === '' ? got.code === '' : got.code === wanted.code);
    this.#table.row({
      step,
      expected: show(wanted),
      got: note === '' ? show(got) : `${show(got)}  ${note}`,
      ok,
    });
    return ok;
  }

  #fact(step: string, expected: string, got: string, ok: boolean): void {
    this.#table.row({ step, expected, got, ok });
  }

  async #served(): Promise<void> {
    const world = this.#world;
    const { alice, bob } = world.callers;
    const body = Buffer.from(JSON.stringify({ city: 'Seoul' }));
    this.#table.heading('An agent registered on chain calls and is served');
    const get = (signer: Signer): Call => world.sign(signer, { method: 'GET', path: TODAY });
    const post = (): Call =>
      world.sign(alice.signer, { method: 'POST', path: TODAY, body, headers: JSON_FIELDS });
    this.#check('GET over HTTP/2 (key read from the chain)', await callHttp2(get(alice.signer), world.ca), {
      status: 200,
    });
    this.#check('GET over HTTP/1.1 (key in memory)', await callHttp1(get(alice.signer), world.ca), {
      status: 200,
    });
    this.#check('POST with a digest over HTTP/2', await callHttp2(post(), world.ca), { status: 200 });
    const accepted = post();
    const answer = await callHttp1(accepted, world.ca);
    this.#check('POST with a digest over HTTP/1.1', answer, { status: 200 });
    const told = JSON.parse(answer.body);
    this.#fact('the agent is told who calls', alice.did, told.asked_by, told.asked_by === alice.did);
    this.#check('GET signed with ECDSA P-256', await callHttp2(get(bob.signer), world.ca), { status: 200 });
  }

  async #refused(): Promise<void> {
    const world = this.#world;
    const { ca, weather } = world;
    const { alice } = world.callers;
    const servedBefore = weather.served();
    this.#table.heading('What is not proven is refused, each with its own code');
    const sign = (more: Partial<Parameters<World['sign']>[1]> = {}, signer = alice.signer): Call =>
      world.sign(signer, { method: 'GET', path: TODAY, ...more });
    const body = Buffer.from('{"pay":1}');
    const posted = sign({ method: 'POST', body, headers: JSON_FIELDS });
    const mallory = generateSigningKey('ed25519').signing;
    const unheard = agentDid(31_337, world.registryAddress, 999n);
    const rsa: Signer['key'] = {
      algorithm: 'rsa-v1_5-sha256' satisfies SignatureAlgorithm,
      sign: () => Buffer.alloc(256, 1),
    };
    const cases: readonly (readonly [string, Call, Expected])[] = [
      [
        'tampered body',
        { ...posted, body: Buffer.from('{"pay":9}') },
        { status: 401, code: 'digest_mismatch' },
      ],
      [
        'tampered path',
        { ...sign(), url: new URL('/agents/weather/tomorrow?city=Seoul', world.origin()) },
        { status: 401, code: 'signature_invalid' },
      ],
      [
        'wrong key: not the one in the document',
        sign({}, { keyId: alice.signer.keyId, key: mallory }),
        { status: 401, code: 'signature_invalid' },
      ],
      [
        'wrong key: one the document does not list',
        sign({}, { keyId: `${alice.did}#key-9`, key: mallory }),
        { status: 401, code: 'key_unknown' },
      ],
      [
        'expired',
        sign({ createdOffset: -30, expiresOffset: -10 }),
        { status: 401, code: 'signature_expired' },
      ],
      ['too old', sign({ createdOffset: -120 }), { status: 401, code: 'signature_too_old' }],
      ['future-dated', sign({ createdOffset: 120 }), { status: 401, code: 'created_in_future' }],
      [
        'unsigned',
        { method: 'GET', url: new URL(TODAY, world.origin()), headers: [] },
        { status: 401, code: 'signature_required' },
      ],
      [
        'unknown DID',
        sign({}, { keyId: `${unheard}#key-1`, key: mallory }),
        { status: 401, code: 'did_unknown' },
      ],
      [
        'unsupported algorithm',
        sign({}, { keyId: alice.signer.keyId, key: rsa }),
        { status: 401, code: 'algorithm_unsupported' },
      ],
    ];
    for (const [step, call, expected] of cases) this.#check(step, await callHttp2(call, ca), expected);
    const reached = weather.served() - servedBefore;
    this.#fact('none of these reached the agent', '0', String(reached), reached === 0);
    const once = sign();
    this.#check('sent once', await callHttp2(once, ca), { status: 200 });
    this.#check('replayed', await callHttp1(once, ca), { status: 401, code: 'nonce_replayed' });
    this.#check('policy denies one method', await callHttp2(sign({ method: 'DELETE' }), ca), {
      status: 403,
      code: 'policy_denied',
    });
  }

  async #limited(): Promise<void> {
    const world = this.#world;
    const { bob, alice } = world.callers;
    this.#table.heading('The limit counts the proven DID');
    let answer: Answer | null = null;
    let calls = 0;
    while (calls < FLOOD_CALLS && answer?.status !== 429) {
      calls += 1;
      answer = await callHttp2(world.sign(bob.signer, { method: 'GET', path: TODAY }), world.ca);
    }
    if (answer === null) return;
    this.#check(`bob calls until he is over his limit (${calls} calls)`, answer, {
      status: 429,
      code: 'caller_rate_limited',
    });
    const fields = ['ratelimit', 'ratelimit-policy', 'retry-after'].map(
      (name) => `${name}: ${String(answer.headers[name] ?? 'missing')}`,
    );
    this.#fact(
      'and is told when to come back',
      'RateLimit fields, Retry-After',
      fields.join('  '),
      !fields.join().includes('missing'),
    );
    this.#check(
      'alice is not affected',
      await callHttp2(world.sign(alice.signer, { method: 'GET', path: TODAY }), world.ca),
      { status: 200 },
    );
  }

  async #circuit(): Promise<void> {
    const world = this.#world;
    const { alice } = world.callers;
    const call = (): Promise<Answer> =>
      callHttp2(world.sign(alice.signer, { method: 'GET', path: FRAGILE }), world.ca);
    this.#table.heading('An agent dies; its circuit opens, heals and closes');
    this.#check('the agent answers', await call(), { status: 200 });
    await world.fragile.stop();
    let calls = 0;
    let answer = await call();
    this.#check('it is gone', answer, { status: 502, code: 'upstream_unreachable' });
    for (; calls < FAILING_CALLS && answer.status !== 503; calls += 1) answer = await call();
    this.#check(
      'its circuit opens',
      answer,
      { status: 503, code: 'circuit_open' },
      `after ${calls} more calls`,
    );
    const fast = await call();
    this.#check(
      'and refuses at once',
      fast,
      { status: 503, code: 'circuit_open' },
      `in ${fast.milliseconds.toFixed(1)} ms`,
    );
    await world.fragile.start();
    const backAt = performance.now();
    do {
      // As the refusal says: the circuit lets a probe through when this time has passed.
      const waitMs = 1_000 * Number(answer.headers['retry-after'] ?? 1);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      answer = await call();
    } while (answer.status === 503 && performance.now() - backAt < HEAL_TIMEOUT_MS);
    this.#check(
      'the agent is back and the circuit closes',
      answer,
      { status: 200 },
      `after ${((performance.now() - backAt) / 1_000).toFixed(1)} s`,
    );
  }

  async #streams(): Promise<void> {
    const world = this.#world;
    const { alice } = world.callers;
    this.#table.heading('Streams pass in real time');
    const socket = await openWebSocket(
      world.sign(alice.signer, { method: 'GET', path: '/agents/echo/' }),
      world.ca,
    );
    const sentAt = performance.now();
    const echoed = new Promise<string>((resolve) =>
      socket.once('message', (data: Buffer) => resolve(data.toString('utf8'))),
    );
    socket.send('hello');
    const text = await echoed;
    const took = performance.now() - sentAt;
    this.#fact(
      'a WebSocket echoes, with its subprotocol',
      'hello, echo.v1',
      `${text}, ${socket.protocol}  in ${took.toFixed(1)} ms`,
      text === 'hello' && socket.protocol === 'echo.v1',
    );
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    socket.close(4000, 'done');
    const code = await closed;
    this.#fact('and closes with the code it was closed with', '4000', String(code), code === 4000);
    const stream = await openEventStream(
      world.sign(alice.signer, { method: 'GET', path: '/agents/weather/events' }),
      world.ca,
    );
    await stream.waitForEvents(5);
    stream.close();
    const latest = Math.max(...stream.delaysMs);
    this.#fact(
      'an event stream arrives event by event',
      `each within ${PROMPT_MS} ms`,
      `5 events, the latest after ${latest} ms`,
      latest < PROMPT_MS,
    );
  }

  async #revoked(): Promise<void> {
    const world = this.#world;
    const { dave } = world.callers;
    const { ca } = world;
    this.#table.heading("dave's key is revoked by a transaction");
    const get = (path: string): Call => world.sign(dave.signer, { method: 'GET', path });
    const body = Buffer.alloc(4_096, 'x');
    const socket = await openWebSocket(get('/agents/echo/'), ca);
    const stream = await openEventStream(get('/agents/weather/events'), ca);
    await stream.waitForEvents(1);
    const upload = await openSlowUpload(
      { ...world.sign(dave.signer, { method: 'POST', path: TODAY, body }), body },
      ca,
    );
    this.#check('before, dave is served', await callHttp2(get(TODAY), ca), { status: 200 });
    const at = (event: Promise<unknown>): Promise<number> => event.then(() => performance.now());
    const socketClosed = new Promise<number>((resolve) => socket.once('close', resolve));
    const ends = [at(socketClosed), at(stream.ended), at(upload.ended)] as const;
    const { blockNumber } = await world.registry.revokeKey(dave.agentId, 'key-1');
    const blockAt = await world.blockSeen(blockNumber);
    const { answer, at: refusedAt, served } = await this.#callUntilRefused(world.gateways[0]?.port ?? 0);
    const after = (moment: number): string =>
      `${Math.max(0, moment - blockAt).toFixed(1)} ms after the block`;
    const note = served === 0 ? after(refusedAt) : `${after(refusedAt)}, ${served} served meanwhile`;
    this.#check('the next call is refused', answer, { status: 401, code: 'key_unknown' }, note);
    const cut = (step: string, expected: string, got: string, moment: number, ok: boolean): void =>
      this.#fact(step, expected, `${got}  ${after(moment)}`, ok);
    const late = new Promise<never>((_resolve, reject) => {
      setTimeout(() => reject(new Error('a revoked stream stayed open')), REVOCATION_TIMEOUT_MS).unref();
    });
    const [socketAt, streamAt, uploadAt] = await Promise.race([Promise.all(ends), late]);
    const code = await socketClosed;
    cut('the open WebSocket is closed', '1008', String(code), socketAt, code === 1008);
    cut('the event stream is cut', 'ended', 'ended', streamAt, true);
    const status = await upload.ended;
    cut('the upload is refused', '401', String(status), uploadAt, status === 401);
    await this.#revokedElsewhere(blockAt);
  }

  /** The second gateway watches the chain by itself and hears of purges by Redis. */
  async #revokedElsewhere(blockAt: number): Promise<void> {
    const [, second] = this.#world.gateways;
    if (second === undefined) return;
    const { answer, at } = await this.#callUntilRefused(second.port);
    this.#check(
      'and so at the second gateway',
      answer,
      { status: 401, code: 'key_unknown' },
      `${(at - blockAt).toFixed(1)} ms after the block`,
    );
  }

  /** Calls until one is refused: when that was, what it said, and how many were served before. */
  async #callUntilRefused(port: number): Promise<{ at: number; answer: Answer; served: number }> {
    const { callers, ca, ...world } = this.#world;
    const request = { method: 'GET', path: TODAY, origin: SHARED_ORIGIN };
    const deadline = performance.now() + REVOCATION_TIMEOUT_MS;
    for (let served = 0; ; served += 1) {
      const answer = await callHttp1({ ...world.sign(callers.dave.signer, request), port }, ca);
      const at = performance.now();
      if (answer.status !== 200 || at > deadline) return { at, answer, served };
    }
  }

  async #sharedByTwo(): Promise<void> {
    const { gateways, ca, ...world } = this.#world;
    const { alice } = world.callers;
    this.#table.heading('Two gateways share Redis');
    const call = world.sign(alice.signer, { method: 'GET', path: TODAY, origin: SHARED_ORIGIN });
    const [first, second] = gateways.map(({ port }) => port);
    if (first === undefined || second === undefined) return;
    this.#check('accepted at the first', await callHttp1({ ...call, port: first }, ca), { status: 200 });
    this.#check('replayed at the second', await callHttp1({ ...call, port: second }, ca), {
      status: 401,
      code: 'nonce_replayed',
    });
  }

  async #restarted(): Promise<void> {
    const world = this.#world;
    const { alice } = world.callers;
    this.#table.heading('The gateway restarts');
    const call = world.sign(alice.signer, { method: 'GET', path: TODAY });
    this.#check('the last request before it', await callHttp2(call, world.ca), { status: 200 });
    const code = await world.restart();
    this.#fact('SIGTERM drains it', 'exit code 0', `exit code ${code}`, code === 0);
    const refusal = world.shared ? 'nonce_replayed' : 'signature_predates_start';
    this.#check('the same request again', await callHttp2(call, world.ca), { status: 401, code: refusal });
    let answer = await callHttp2(world.sign(alice.signer, { method: 'GET', path: TODAY }), world.ca);
    // A signature of the second in which the gateway started counts as older than the start.
    for (const endsAt = performance.now() + 3_000; answer.status === 401 && performance.now() < endsAt; ) {
      answer = await callHttp2(world.sign(alice.signer, { method: 'GET', path: TODAY }), world.ca);
    }
    this.#check('a new one is served', answer, { status: 200 });
  }
}
