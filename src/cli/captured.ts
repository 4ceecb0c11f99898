/** A request as it was captured: the bytes of an HTTP/1.1 message, or the `> ` lines of `curl --verbose`. */
import { CliError } from './errors.ts';

export interface CapturedRequest {
  readonly method: string;
  /** As it stands in the request line: a path, or an absolute URL. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

const REQUEST_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+)(?: HTTP\/[\d.]+)?$/;
const FIELD = /^(:?[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/;

/** Where the head ends: at the first empty line, however lines end. */
function split(bytes: Buffer): { head: string; body: Uint8Array } {
  const ends = ['\r\n\r\n', '\n\n']
    .map((end) => ({ at: bytes.indexOf(end), length: end.length }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at);
  const [first] = ends;
  if (first === undefined) return { head: bytes.toString('latin1'), body: new Uint8Array(0) };
  return {
    head: bytes.subarray(0, first.at).toString('latin1'),
    body: bytes.subarray(first.at + first.length),
  };
}

/** The head in what `curl --verbose` writes; the body is not in it. */
function fromCurl(text: string): string | null {
  const sent = text.split(/\r?\n/).filter((line) => line.startsWith('> '));
  return sent.length === 0 ? null : sent.map((line) => line.slice(2)).join('\n');
}

/** @throws {CliError} request_unreadable */
export function readCaptured(bytes: Buffer, body: Uint8Array | null): CapturedRequest {
  const text = bytes.toString('latin1');
  // A body may hold such lines, too.
  const curl = /^\S+ \S+ HTTP\//.test(text.trimStart().split(/\r?\n/, 1)[0] ?? '') ? null : fromCurl(text);
  const { head, body: following } = curl === null ? split(bytes) : { head: curl, body: new Uint8Array(0) };
  const [first = '', ...lines] = head.trim().split(/\r?\n/);
  const [, method, target] = REQUEST_LINE.exec(first) ?? [];
  if (method === undefined || target === undefined)
    throw new CliError('request_unreadable', `the first line is no request line: "${first.slice(0, 80)}"`);
  const headers = lines
    .filter((line) => line.trim() !== '')
    .map((line, at): readonly [string, string] => {
      const [, name, value] = FIELD.exec(line) ?? [];
      if (name === undefined || value === undefined)
        throw new CliError('request_unreadable', `line ${at + 2} is no field: "${line.slice(0, 80)}"`);
      return [name, value];
    });
  const chunked = headers.some(
    ([name, value]) => name.toLowerCase() === 'transfer-encoding' && /chunked/i.test(value),
  );
  if (chunked && body === null)
    throw new CliError('request_unreadable', 'its body is chunked: give what was sent with --body-file');
  return { method, target, headers, body: body ?? bounded(following, headers) };
}

/** An editor's last line end does not belong to the body where its length is told. */
function bounded(body: Uint8Array, headers: CapturedRequest['headers']): Uint8Array {
  const [, length] = headers.find(([name]) => name.toLowerCase() === 'content-length') ?? [];
  const told = length === undefined ? body.length : Number(length);
  return Number.isSafeInteger(told) && told >= 0 && told < body.length ? body.subarray(0, told) : body;
}
