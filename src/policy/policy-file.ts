/**
 * The policy file on disk: loaded once or not at all, then followed. A file that does not pass every check never replaces
 * the one that decides; a swap is one assignment.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { checkInWorker } from './check-in-worker.ts';
import { type CompiledPolicy, compilePolicy } from './compile.ts';
import { PolicyError } from './errors.ts';
import { type PolicyRefused, type PolicyReloaded, policyRefused, policyReloaded } from './events.ts';
import { followFile } from './follow-file.ts';
import { formatFaults, YAML_BYTES_MAX } from './located-yaml.ts';

export interface PolicyFileOptions {
  readonly path: string;
  /** Whether there is a region database; rules that ask for regions are refused without one. */
  readonly regions: boolean;
  /** A pino logger, or the like. */
  readonly log: {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
  };
  /** Called after each swap, the first load included. What it throws is logged and changes nothing. */
  readonly onChange?: (policy: CompiledPolicy) => void;
  /** Called with the faults, one a line, when a new file was refused; with an empty text when a good one was read. */
  readonly onFault?: (faults: string) => void;
  /** False while another policy decides: the file is followed, and what it says is not announced as in force. */
  readonly decides?: () => boolean;
}

type ReadOutcome =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly fault: string };
type Outcome = 'unchanged' | 'reloaded' | 'refused';

export interface PolicyFile {
  /** The policy that decides now. */
  current(): CompiledPolicy;
  /** Its text. */
  text(): string;
  /** Looks at the file; resolves when what it holds has been taken or refused. Never rejects. */
  reload(): Promise<Outcome>;
  close(): Promise<void>;
}

/** Throws `PolicyError` with all faults, one a line, when the file cannot be used. */
export async function openPolicyFile(options: PolicyFileOptions): Promise<PolicyFile> {
  const first = await readBounded(options.path);
  const opened = await check(first, options);
  if ('faults' in opened) {
    const code = first.ok ? 'policy_file_invalid' : 'policy_file_unreadable';
    throw new PolicyError(code, `the policy cannot be used:\n${opened.faults}`);
  }
  let policy = opened.policy;
  let text = first.ok ? first.text : '';
  let seen = fingerprint(first);
  let running: Promise<Outcome> | null = null;
  let queued: Promise<Outcome> | null = null;
  let closed = false;

  const look = async (): Promise<Outcome> => {
    const read = await readBounded(options.path);
    if (fingerprint(read) === seen) return 'unchanged';
    const next = await check(read, options);
    if (closed) return 'unchanged';
    seen = fingerprint(read);
    if ('faults' in next) {
      announceRefused(options, policy, next.faults);
      return 'refused';
    }
    const previous = policy.revision;
    policy = next.policy;
    text = read.ok ? read.text : '';
    announceReloaded(options, policy, previous);
    return 'reloaded';
  };
  /** One look at a time; who asks during one shares the next, which begins after he asked. */
  const reload = (): Promise<Outcome> => {
    if (running === null) {
      running = look().finally(() => {
        running = null;
      });
      return running;
    }
    queued ??= running.then(() => {
      queued = null;
      return reload();
    });
    return queued;
  };

  announceReloaded(options, policy, '');
  const follower = followFile(options.path, () => void reload());
  return {
    current: () => policy,
    text: () => text,
    reload,
    async close() {
      closed = true;
      follower.close();
      await (queued ?? running);
    },
  };
}

/** Never rejects: a checker that dies is a file refused. */
async function check(
  read: ReadOutcome,
  { path, regions }: PolicyFileOptions,
): Promise<{ readonly policy: CompiledPolicy } | { readonly faults: string }> {
  if (!read.ok) return { faults: `${path}: ${read.fault}` };
  try {
    const checked = await checkInWorker(read.text, regions);
    const compiled = checked.ok ? compilePolicy(checked.value, { regions }) : checked;
    return compiled.ok ? { policy: compiled.policy } : { faults: formatFaults(path, compiled.faults) };
  } catch (error) {
    return { faults: `${path}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function fingerprint(read: ReadOutcome): string {
  return createHash('sha256')
    .update(read.ok ? `text ${read.text}` : `fault ${read.fault}`)
    .digest('hex');
}

/** One byte more than allowed is enough to know, so that a device or a huge file is never read whole. */
async function readBounded(path: string): Promise<ReadOutcome> {
  try {
    await using file = await open(path, 'r');
    if (!(await file.stat()).isFile()) return { ok: false, fault: 'is not a file' };
    const buffer = Buffer.allocUnsafe(YAML_BYTES_MAX + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > YAML_BYTES_MAX) return { ok: false, fault: `is larger than ${YAML_BYTES_MAX} bytes` };
    const text = new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
    return { ok: true, text };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return {
      ok: false,
      fault: code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'is not UTF-8' : `cannot be read (${code})`,
    };
  }
}

function announceReloaded(
  options: PolicyFileOptions,
  policy: CompiledPolicy,
  previousRevision: string,
): void {
  const { path, log, onChange, onFault, decides = () => true } = options;
  const event: PolicyReloaded = { path, revision: policy.revision, previousRevision, rules: policy.rules };
  guard(options, () => onFault?.(''));
  if (!decides()) {
    log.info(event, 'policy file read; the stored policy decides');
    return;
  }
  log.info(event, previousRevision === '' ? 'policy loaded' : 'policy reloaded');
  policyReloaded.publish(event);
  guard(options, () => onChange?.(policy));
}

function announceRefused(options: PolicyFileOptions, policy: CompiledPolicy, faults: string): void {
  const { path, log, onFault } = options;
  const event: PolicyRefused = { path, revision: policy.revision, faults };
  log.error(event, 'policy refused');
  policyRefused.publish(event);
  guard(options, () => onFault?.(faults));
}

/** A listener that throws must not stop the file from being followed. */
function guard({ log }: PolicyFileOptions, listener: () => void): void {
  try {
    listener();
  } catch (error) {
    log.error({ err: error }, 'a policy listener failed');
  }
}
