/**
 * A JSON value in its one spelling (JSON Canonicalization Scheme, RFC 8785): members in the order of their UTF-16 code
 * units, numbers and strings as ECMAScript writes them.
 * @param value from `parseJson`, which bounds how deep it nests
 * @throws TypeError for a string that is no Unicode text (section 3.2.2.2)
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return canonicalText(value);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, inner]) => `${canonicalText(name)}:${canonicalJson(inner)}`).join(',')}}`;
}

function canonicalText(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('half of a surrogate pair');
  return JSON.stringify(text);
}
