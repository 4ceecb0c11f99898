/**
 * Builds an image's file system by following the lines of a Dockerfile in a folder, where there is no Docker engine. The
 * base image is this machine with the Node of the tests; each stage's root is a folder, under which absolute paths are
 * put. No line runs as root: when the tests do, lines run as the image's user.
 */
import { execFile } from 'node:child_process';
import {
  chmodSync,
  constants,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import {
  assignments,
  contextFiles,
  execForm,
  type Instruction,
  parseDockerfile,
  type Stage,
} from './dockerfile.ts';

const run = promisify(execFile);
/** `npm ci` of everything, on a busy machine and with a cold cache. */
const RUN_TIMEOUT_MS = 300_000;

export interface Image {
  /** What stands for `/`. */
  readonly root: string;
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of USER; undefined when the tests are not root, and whatever runs is run as they are. */
  readonly uid: number | undefined;
  readonly user: string;
  readonly command: readonly [file: string, ...args: string[]];
  readonly healthCheck: readonly [file: string, ...args: string[]];
  /** Everything that was made. */
  readonly clean: string;
}

interface State {
  readonly root: string;
  workdir: string;
  readonly env: Record<string, string>;
  user: string;
  entrypoint: readonly string[];
  cmd: readonly string[];
  healthCheck: readonly string[];
}

interface Builder {
  readonly context: string;
  readonly clean: string;
  readonly stages: Map<string, State>;
  /** Whom lines run as, when we may choose. */
  readonly uid: number | undefined;
  /** Of the lines that run: how this machine's npm and Node get at their registry, and where the base's programs are. */
  readonly env: Readonly<Record<string, string>>;
}

const within = (state: State, path: string): string =>
  join(state.root, isAbsolute(path) ? path : join(state.workdir, path));

async function give(path: string, owner: string | number): Promise<void> {
  await run('chown', ['-R', `${owner}`, path]);
}

async function copy(
  builder: Builder,
  state: State,
  { flags, rest }: Instruction,
  isLast: boolean,
): Promise<void> {
  const words = rest.split(/\s+/);
  const target = words.pop() ?? '';
  const from = flags.from === undefined ? null : builder.stages.get(flags.from);
  if (from === undefined) throw new Error(`no stage ${flags.from}`);
  const place = within(state, target);
  for (const word of words) {
    const source = from === null ? join(builder.context, word) : within(from, word);
    const isFolder = statSync(source).isDirectory();
    const file = isFolder || !target.endsWith('/') ? place : join(place, word.split('/').at(-1) ?? '');
    mkdirSync(isFolder ? file : dirname(file), { recursive: true });
    // As it was made, links and modes included; a folder's content, not the folder.
    await run('cp', ['-a', '--no-preserve=ownership', isFolder ? `${source}/.` : source, file]);
  }
  if (builder.uid === undefined) return;
  // The last stage keeps the owners that the file gives; in the others the user who runs their lines must write.
  if (flags.chown !== undefined) await give(place, flags.chown);
  else if (!isLast) await give(state.root, builder.uid);
}

async function runLine(builder: Builder, state: State, line: string): Promise<void> {
  const absolute = /(?:^|[\s=])\/\w/.exec(line);
  if (absolute !== null) throw new Error(`a RUN line with an absolute path cannot be followed: ${line}`);
  await run('/bin/sh', ['-c', line], {
    cwd: within(state, '.'),
    env: { ...builder.env, ...state.env },
    timeout: RUN_TIMEOUT_MS,
    ...(builder.uid === undefined ? {} : { uid: builder.uid, gid: builder.uid }),
  });
}

async function follow(builder: Builder, state: State, line: Instruction, isLast: boolean): Promise<void> {
  const { name, rest } = line;
  if (name === 'WORKDIR') {
    state.workdir = rest;
    mkdirSync(within(state, '.'), { recursive: true });
    if (builder.uid !== undefined && !isLast) await give(state.root, builder.uid);
  } else if (name === 'COPY') await copy(builder, state, line, isLast);
  else if (name === 'RUN') await runLine(builder, state, rest);
  else if (name === 'ENV') {
    for (const [variable, value] of Object.entries(assignments(rest)))
      state.env[variable] = isAbsolute(value) ? within(state, value) : value;
  } else if (name === 'USER') state.user = rest;
  else if (name === 'ENTRYPOINT') state.entrypoint = execForm(rest);
  else if (name === 'CMD') state.cmd = execForm(rest);
  else if (name === 'HEALTHCHECK') state.healthCheck = execForm(rest.replace(/^.*?CMD\s+/, ''));
}

/** What stands in for the base image: this Node, where the image's user can run it, and a cache npm may write. */
async function prepare(project: string, ignore: string, uid: number | undefined): Promise<Builder> {
  const clean = mkdtempSync(join(tmpdir(), 'sage-image-'));
  chmodSync(clean, 0o755);
  const bin = join(clean, 'base', 'bin');
  mkdirSync(bin, { recursive: true });
  copyFileSync(process.execPath, join(bin, 'node'), constants.COPYFILE_FICLONE);
  const context = join(clean, 'context');
  for (const file of contextFiles(project, ignore)) {
    mkdirSync(dirname(join(context, file)), { recursive: true });
    cpSync(join(project, file), join(context, file));
  }
  const settings = await Promise.all(['registry', 'cafile'].map((name) => npmSetting(name)));
  const env: Record<string, string> = {
    PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`,
    HOME: clean,
    npm_config_prefer_offline: 'true',
    npm_config_update_notifier: 'false',
    ...Object.fromEntries(settings),
  };
  const authorities = process.env.NODE_EXTRA_CA_CERTS;
  if (authorities !== undefined) env.NODE_EXTRA_CA_CERTS = authorities;
  const builder = { context, clean, stages: new Map<string, State>(), uid, env };
  if (uid === undefined) return builder;
  // npm's cache of the user who runs the tests, which another may not read.
  const cache = join(clean, 'npm-cache');
  const [, theirs] = await npmSetting('cache');
  await run('cp', ['-r', theirs, cache]).catch(() => mkdirSync(cache, { recursive: true }));
  await give(cache, uid);
  return { ...builder, env: { ...env, npm_config_cache: cache } };
}

async function npmSetting(name: string): Promise<readonly [variable: string, value: string]> {
  const { stdout } = await run('npm', ['config', 'get', name], { cwd: tmpdir() });
  const value = stdout.trim();
  return [`npm_config_${name}`, value === 'null' ? '' : value];
}

/** Follows every line of `dockerfile`, with the files of `project` that `ignore` lets in. */
export async function followDockerfile(project: string, dockerfile: string, ignore: string): Promise<Image> {
  const stages = parseDockerfile(dockerfile);
  const user = stages.at(-1)?.instructions.findLast(({ name }) => name === 'USER')?.rest ?? '0';
  const uid = process.getuid?.() === 0 ? Number(user.split(':')[0]) : undefined;
  const builder = await prepare(project, ignore, uid);
  try {
    return await followStages(builder, stages);
  } catch (error) {
    rmSync(builder.clean, { recursive: true, force: true });
    throw error;
  }
}

async function followStages(builder: Builder, stages: readonly Stage[]): Promise<Image> {
  let state: State | null = null;
  for (const [at, stage] of stages.entries()) {
    const root = join(builder.clean, `stage-${at}`);
    state = { root, workdir: '/', env: {}, user: '0', entrypoint: [], cmd: [], healthCheck: [] };
    mkdirSync(root);
    builder.stages.set(stage.name, state);
    for (const line of stage.instructions) await follow(builder, state, line, at === stages.length - 1);
  }
  if (state === null) throw new Error('no stage');
  const [file = '', ...args] = [...state.entrypoint, ...state.cmd];
  const [check = '', ...checkArgs] = state.healthCheck;
  return {
    root: state.root,
    folder: within(state, '.'),
    env: { PATH: builder.env.PATH ?? '', ...state.env },
    uid: builder.uid,
    user: state.user,
    command: [file, ...args],
    healthCheck: [check, ...checkArgs],
    clean: builder.clean,
  };
}
