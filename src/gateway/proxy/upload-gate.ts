import { Transform, type TransformCallback } from 'node:stream';
import type { DigestProof } from './exchange.ts';

/** Told how an upload goes; the delivery keeps the time and counts the bytes. */
export interface UploadListener {
  uploaded(bytes: number): void;
  uploadComplete(): void;
}

/**
 * What a streamed body passes through. Without a proof it only counts. With one it always holds back the latest chunk,
 * and lets the last go only when the digest matches; else it fails, which resets the upstream request: over HTTP/1.1 the
 * agent then never sees the end of the body.
 *
 * It also stands between undici and the request, whose stream undici would destroy on any failure, and with it the
 * connection the refusal is to be sent on.
 */
export class UploadGate extends Transform {
  readonly #proof: DigestProof | null;
  readonly #listener: UploadListener;
  #held: Buffer | null = null;

  constructor(proof: DigestProof | null, listener: UploadListener) {
    super();
    this.#proof = proof;
    this.#listener = listener;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#listener.uploaded(chunk.length);
    if (this.#proof === null) {
      callback(null, chunk);
      return;
    }
    this.#proof.update(chunk);
    const before = this.#held;
    this.#held = chunk;
    if (before === null) callback();
    else callback(null, before);
  }

  override _flush(callback: TransformCallback): void {
    if (this.#proof !== null && !this.#proof.matches()) {
      callback(this.#proof.mismatch());
      return;
    }
    this.#listener.uploadComplete();
    if (this.#held === null) callback();
    else callback(null, this.#held);
  }
}
