/** A certificate for this machine alone, made anew for each run, so that the demo and the tests speak real TLS. */
import { generate } from 'selfsigned';

export interface Certificate {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
  /** What a client must trust: the certificate itself, because it signs itself. */
  readonly ca: string;
}

const LIFETIME_MS = 86_400_000;
/** Clocks of two processes on one machine agree; a minute covers a virtual machine that was just resumed. */
const BACKDATED_MS = 60_000;

/** @param nowMs milliseconds since the epoch; the certificate is good for a day from then. */
export async function createLocalCertificate(nowMs: number): Promise<Certificate> {
  const pems = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(nowMs - BACKDATED_MS),
    notAfterDate: new Date(nowMs + LIFETIME_MS),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  return { key: pems.private, cert: pems.cert, ca: pems.cert };
}
