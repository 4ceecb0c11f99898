/**
 * The OpenTelemetry SDK and its OTLP exporter: loaded only when `OTEL_EXPORTER_OTLP_ENDPOINT` is set, since they cost
 * some 60 ms and 15 MB at start. Import this file by `import()`.
 */
import { DiagLogLevel, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  type IdGenerator,
  RandomIdGenerator,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import { createTracing, type SpanIds, type Tracing } from './tracing.ts';

export interface OtlpOptions {
  /** Base URL of the collector, as in `OTEL_EXPORTER_OTLP_ENDPOINT`; `/v1/traces` is appended. */
  readonly endpoint: string;
  readonly serviceName: string;
  readonly version: string;
  readonly scheme: 'http' | 'https';
  /** Where the SDK's own complaints go: dropped spans, a collector that does not answer. */
  readonly logger: Logger;
}

/** Spans waiting for the collector, about 1 KB each; a caller decides what is sampled, so this must not grow. */
const QUEUE_SPANS_MAX = 4096;
const BATCH_SPANS_MAX = 512;
const EXPORT_INTERVAL_MS = 2000;
const EXPORT_TIMEOUT_MS = 5000;
const CONCURRENT_EXPORTS_MAX = 4;
const ATTRIBUTE_LENGTH_MAX = 1024;
/** A collector that does not answer must not hold up a drain. */
const SHUTDOWN_MS = 2000;

/** Gives out the ids laid into it, once each; random ones otherwise. */
class LaidIds implements IdGenerator, SpanIds {
  readonly #random = new RandomIdGenerator();
  #traceId: string | null = null;
  #spanId: string | null = null;

  next(traceId: string, spanId: string): void {
    this.#traceId = traceId;
    this.#spanId = spanId;
  }

  generateTraceId(): string {
    const laid = this.#traceId;
    this.#traceId = null;
    return laid ?? this.#random.generateTraceId();
  }

  generateSpanId(): string {
    const laid = this.#spanId;
    this.#spanId = null;
    return laid ?? this.#random.generateSpanId();
  }
}

function sendComplaintsTo(logger: Logger): void {
  const line =
    (level: 'debug' | 'warn' | 'error') =>
    (message: string, ...details: unknown[]): void => {
      logger[level]({ details }, `opentelemetry: ${message}`);
    };
  const debug = line('debug');
  diag.setLogger(
    { error: line('error'), warn: line('warn'), info: debug, debug, verbose: debug },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

/** Starts the SDK. Sampling was decided by whoever set the record's flags, so what reaches it is always recorded. */
export function startOtlp(options: OtlpOptions): Tracing {
  sendComplaintsTo(options.logger);
  const ids = new LaidIds();
  const exporter = new OTLPTraceExporter({
    url: `${options.endpoint.replace(/\/+$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_TIMEOUT_MS,
    concurrencyLimit: CONCURRENT_EXPORTS_MAX,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': options.serviceName,
      'service.version': options.version,
    }),
    sampler: new AlwaysOnSampler(),
    idGenerator: ids,
    spanLimits: { attributeValueLengthLimit: ATTRIBUTE_LENGTH_MAX },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: QUEUE_SPANS_MAX,
        maxExportBatchSize: BATCH_SPANS_MAX,
        scheduledDelayMillis: EXPORT_INTERVAL_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
      }),
    ],
  });
  const tracer = provider.getTracer('sage-gateway', options.version);
  return createTracing({ tracer, ids, scheme: options.scheme }, async () => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        options.logger.warn(
          { waitedMs: SHUTDOWN_MS },
          'spans were lost at shutdown: the collector does not answer',
        );
        resolve();
      }, SHUTDOWN_MS);
    });
    const done = provider.shutdown().catch((error: unknown) => {
      options.logger.warn({ err: error }, 'spans were lost at shutdown');
    });
    await Promise.race([done, late]);
    clearTimeout(timer);
  });
}
