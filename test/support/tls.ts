import { type Certificate, createLocalCertificate } from '../../src/cli/demo/certificate.ts';

let made: Promise<Certificate> | undefined;

/** One certificate for 127.0.0.1 and localhost, made once for each test file. */
export function selfSigned(): Promise<Certificate> {
  made ??= createLocalCertificate(Date.now());
  return made;
}
