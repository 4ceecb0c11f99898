import { generate } from 'selfsigned';
import { type Certificate, createLocalCertificate } from '../../src/cli/demo/certificate.ts';

let made: Promise<Certificate> | undefined;

/** One certificate for 127.0.0.1 and localhost, made once for each test file. */
export function selfSigned(): Promise<Certificate> {
  made ??= createLocalCertificate(Date.now());
  return made;
}

/** A certificate for host names of the test's choice, which signs itself. */
export async function certificateFor(names: readonly string[]): Promise<Certificate> {
  const pems = await generate([{ name: 'commonName', value: names[0] ?? '' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(Date.now() - 60_000),
    notAfterDate: new Date(Date.now() + 86_400_000),
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', digitalSignature: true, keyCertSign: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames: names.map((value) => ({ type: 2 as const, value })) },
    ],
  });
  return { key: pems.private, cert: pems.cert, ca: pems.cert };
}
