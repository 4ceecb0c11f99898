/** Header fields in the forms people have them, as the flat list of names and values that the wire reads. */

/** A `Headers`, pairs, or a record; Node's `rawHeaders` go in as pairs or through `received`. */
export type HeadersInput =
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** Name and value pairs, names in lower case, in the order given. */
export function pairsOf(headers: HeadersInput | undefined): [string, string][] {
  if (headers === undefined) return [];
  const pairs: [string, string][] = [];
  if (Symbol.iterator in headers) {
    for (const [name, value] of headers) pairs.push([name.toLowerCase(), value]);
    return pairs;
  }
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    for (const one of typeof value === 'string' ? [value] : value) pairs.push([name.toLowerCase(), one]);
  }
  return pairs;
}
