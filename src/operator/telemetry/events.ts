/**
 * What the other rooms publish on `node:diagnostics_channel`, as this room reads it. The types are
 * theirs, the names are repeated: telemetry must not pull the path in.
 */
import { subscribe as subscribeChannel, unsubscribe } from 'node:diagnostics_channel';
import type { AgentChanged } from '../../agents/events.ts';
import type { CircuitView } from '../../gateway/breaker/circuit.ts';
import type { RequestRecord } from '../../gateway/record.ts';
import type { PolicyRefused, PolicyReloaded, PolicyStored } from '../../policy/events.ts';
import type { BlockLifted, BlockSet } from '../../store/events.ts';
import type { StoreCall } from '../../store/watched-driver.ts';
import type {
  DidPurgeEvent,
  DidReadAheadEvent,
  DidResolutionEvent,
  RevocationEvent,
} from '../../trust/did/events.ts';
import type { FetchEvent } from '../../trust/fetch/fetcher.ts';
import type { ChainHead, RpcDisagreement } from '../../trust/key-source.ts';

export interface Events {
  'sage:request.started': RequestRecord;
  'sage:request.finished': RequestRecord;
  'sage:did.resolution': DidResolutionEvent;
  'sage:did.purge': DidPurgeEvent;
  'sage:did.read_ahead': DidReadAheadEvent;
  'sage:fetch': FetchEvent;
  'sage:circuit': CircuitView;
  'sage:policy.reloaded': PolicyReloaded;
  'sage:policy.refused': PolicyRefused;
  'sage:policy': PolicyStored;
  'sage:agents': AgentChanged;
  'sage:revocation': RevocationEvent;
  'sage:revocation.lifted': RevocationEvent;
  'sage:block': BlockSet;
  'sage:unblock': BlockLifted;
  'sage:chain.head': ChainHead;
  'sage:rpc.disagreement': RpcDisagreement;
  'sage:store.call': StoreCall;
}

/**
 * Calls `handler` for each message on `name` until the function returned is called. `diagnostics_channel` turns a
 * subscriber's exception into an uncaught one, which would end the process: here it is handed to `onError` instead.
 */
export function listen<N extends keyof Events>(
  name: N,
  handler: (event: Events[N]) => void,
  onError: (name: N, error: unknown) => void,
): () => void {
  const guarded = (message: unknown): void => {
    try {
      handler(message as Events[N]);
    } catch (error) {
      onError(name, error);
    }
  };
  subscribeChannel(name, guarded);
  return () => {
    unsubscribe(name, guarded);
  };
}
