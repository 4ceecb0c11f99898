/** `sage dev`: a gateway on this machine in a few seconds, with a caller's key and a signed line to try it. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { Running } from '../../main.ts';
import type { Signer } from '../../sdk/signer.ts';
import { CliError } from '../errors.ts';
import { writeFile } from '../files.ts';
import { command, type Frame, JSON_SCHEMA, runs, type Shell } from '../frame.ts';
import { configText, policyText } from '../scaffold.ts';
import { pairs } from '../text.ts';
import { curlOf } from './curl.ts';
import { port } from './init.ts';

interface Options {
  readonly upstream?: string;
  readonly port: number;
}

const AGENT_ID = 'dev';
/** The longest a signature may live, so that the printed line can be pasted at leisure. */
const SIGNATURE_MAX_AGE_SECONDS = '300';

export function devCommand(shell: Shell): Command {
  const made = command('dev', 'try it: a gateway on this machine, a caller, and a signed curl line', [
    'sage dev',
    'sage dev --upstream http://127.0.0.1:3000',
  ])
    .option(
      '--upstream <origin>',
      'the agent behind it; left out: a sample that answers with what it was told',
    )
    .option('--port <number>', "the gateway's", port, 8_080);
  return runs<Options>(shell, made, async (frame, options) => {
    const startedAt = performance.now();
    const world = await frame.waiting('starting', openWorld(options));
    const curl = await signedLine(world);
    const seconds = Math.round(performance.now() - startedAt) / 1_000;
    announce(shell, frame, world, curl, seconds);
    return null;
  });
}

interface DevWorld {
  readonly running: Running;
  readonly upstream: string;
  readonly signer: Signer;
  readonly keyFile: string;
  readonly startedAtMs: number;
}

async function openWorld({ upstream, port: listenAt }: Options): Promise<DevWorld> {
  const [{ readEnv }, { start, stopOnSignal }, { createSigner, generateKeyPair }] = await Promise.all([
    import('../../env.ts'),
    import('../../main.ts'),
    import('../../sdk/signer.ts'),
  ]);
  const sample = upstream === undefined ? await sampleAgent() : null;
  const behind = originOf(upstream ?? sample?.origin ?? '');
  const folder = mkdtempSync(join(tmpdir(), 'sage-dev-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const pair = await generateKeyPair();
    const keyFile = join(folder, 'caller.jwk');
    mkdirSync(join(folder, 'data'));
    writeFile(keyFile, `${JSON.stringify(pair.privateJwk, null, 2)}\n`, { force: false, secret: true });
    writeFile(join(folder, 'policy.yaml'), policyText(AGENT_ID), { force: false });
    writeFile(join(folder, 'sage.yaml'), configText([{ id: AGENT_ID, upstream: behind }]), { force: false });
    const running = await start(
      readEnv({
        PORT: String(listenAt),
        SAGE_ENV: 'development',
        CONFIG_FILE: join(folder, 'sage.yaml'),
        DATA_DIR: join(folder, 'data'),
        EXPLAIN_REFUSALS: 'true',
        SIGNATURE_MAX_AGE_SECONDS,
        LOG_LEVEL: 'warn',
      }),
    );
    stopOnSignal(running, () => {
      sample?.close();
      remove();
    });
    const signer = await createSigner({ privateKey: pair.privateJwk });
    return { running, upstream: behind, signer, keyFile, startedAtMs: Date.now() };
  } catch (error) {
    sample?.close();
    remove();
    throw error;
  }
}

function originOf(text: string): string {
  if (URL.canParse(text) && /^https?:/.test(text)) return new URL(text).origin;
  throw new CliError('usage', `--upstream: ${text} is no origin such as http://127.0.0.1:3000`);
}

interface SampleAgent {
  readonly origin: string;
  close(): void;
}

function sampleAgent(): Promise<SampleAgent> {
  const server = createServer((request, response) => {
    request.resume();
    const answer = {
      caller: request.headers['x-sage-verified-did'] ?? null,
      method: request.method,
      path: request.url,
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(answer)}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new CliError('agent_not_started', cause.message, { cause })));
    server.listen(0, '127.0.0.1', () => {
      const { port: at } = server.address() as AddressInfo;
      resolve({
        origin: `http://127.0.0.1:${at}`,
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

/** A signature of the second in which the gateway started may be older than it, and would be refused. */
async function signedLine({ running, signer, startedAtMs }: DevWorld): Promise<string> {
  const next = (Math.floor(startedAtMs / 1_000) + 1) * 1_000;
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - Date.now())));
  const { signRequest } = await import('../../sdk/sign.ts');
  const url = `${running.origin}/agents/${AGENT_ID}/hello-${randomBytes(3).toString('hex')}`;
  return curlOf(await signRequest({ method: 'GET', url }, signer), {});
}

function announce(shell: Shell, frame: Frame, world: DevWorld, curl: string, seconds: number): void {
  const { running, upstream, signer, keyFile } = world;
  const url = `${running.origin}/agents/${AGENT_ID}/`;
  const did = signer.keyId.split('#', 1)[0];
  if (frame.json) {
    const data = {
      origin: running.origin,
      agent_url: url,
      upstream,
      did,
      key_id: signer.keyId,
      key_file: keyFile,
      curl,
      seconds,
    };
    shell.out.write(`${JSON.stringify({ schema: JSON_SCHEMA, command: 'dev', ok: true, data }, null, 2)}\n`);
    return;
  }
  const { pen } = frame;
  const lines = [
    `${pen.mark('+')} a gateway for development, ready in ${seconds} s; it ends with Ctrl-C and leaves nothing`,
    ...pairs(
      [
        ['agent', `${url} -> ${upstream}`],
        ['caller', did],
        ['key', keyFile],
        ['operators', `${running.origin}/v1/status, open to this machine`],
      ],
      pen,
    ),
    '',
    `${pen.mark('*')} a call, good once and for five minutes:`,
    '',
    curl,
    '',
    `${pen.mark('*')} another:  sage sign --key-file ${keyFile} --curl GET ${url}again`,
    `${pen.mark('*')} unsigned, to see it refused:  curl ${url}hello`,
  ];
  shell.out.write(`${lines.join('\n')}\n`);
}
