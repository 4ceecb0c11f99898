/** Words that must not stand on a command line: the list of processes and the history of the shell show them. */

const SECRET_SHAPES = [
  /-----BEGIN [A-Z ]*PRIVATE KEY/,
  // The private member of a JWK.
  /"d"\s*:\s*"/,
  // An API key of this gateway.
  /\bsage_[\w-]{4,}\.[\w-]{20,}/,
  // Credentials in a URL.
  /^(?:--[\w-]+=)?[a-z]+:\/\/[^/\s@]*:[^/\s@]+@/i,
  /^(?:--api-key|--key|--token|--secret|--password)(?:=|$)/,
];

export function looksSecret(word: string): boolean {
  return SECRET_SHAPES.some((shape) => shape.test(word));
}
