/** A signed request as a line for a POSIX shell. */
import type { SignedRequest } from '../../sdk/sign.ts';

/** As the shell reads it back. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** @param body where its body comes from: a file, or the text itself */
export function curlOf(
  signed: SignedRequest,
  body: { readonly file?: string | undefined; readonly text?: string | undefined },
): string {
  const parts = ['curl', '--silent', '--show-error', '--path-as-is'];
  if (signed.method === 'HEAD') parts.push('--head');
  else if (signed.method !== 'GET') parts.push('--request', signed.method);
  for (const [name, value] of signed.headers)
    parts.push('--header', quoted(value === '' ? `${name};` : `${name}: ${value}`));
  // curl adds a type of its own to a body, which nobody signed.
  const hasType = signed.headers.some(([name]) => name === 'content-type');
  if (signed.body !== undefined && !hasType) parts.push('--header', quoted('content-type:'));
  if (body.file !== undefined) parts.push('--data-binary', quoted(`@${body.file}`));
  else if (body.text !== undefined) parts.push('--data-raw', quoted(body.text));
  parts.push(quoted(signed.url));
  return parts.join(' ');
}
