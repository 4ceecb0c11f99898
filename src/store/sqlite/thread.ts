/** The thread that holds the file: whatever the disk does, the event loop of the gateway goes on. */
import type { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { faultError, faultIn } from '../faults.ts';
import { migrateUp, migrationStates } from '../migrations.ts';
import { createBatches } from './batch.ts';
import { faultOf, openFile } from './dialect.ts';
import type { FromThread, ThreadSettings, ToThread } from './messages.ts';
import { sqliteMigrationPort } from './migration-port.ts';

const { file, busyMs, first, nowMs }: ThreadSettings = workerData;
const port = parentPort;
if (port === null) throw new Error('this file is the entry of a worker thread');
const post = (message: FromThread): void => port.postMessage(message);

function serve(database: DatabaseSync): void {
  const batches = createBatches(database, file);
  port?.on('message', (message: ToThread) => {
    // Sent before the other side heard that the file is gone: it has answered its callers by itself.
    if (!database.isOpen) return;
    if ('close' in message) {
      // The last one to close a file writes its log back and removes it.
      database.close();
      port?.close();
      return;
    }
    const writing = message.calls.filter(({ write }) => write);
    const reading = message.calls.filter(({ write }) => !write);
    // Read first: they see what is committed, and do not wait for another process's lock.
    if (reading.length > 0) post({ answers: batches.reads(reading), last: writing.length === 0 });
    if (writing.length > 0) post({ answers: batches.writes(writing), last: true });
    const gone = batches.gone();
    if (gone === null) return;
    // Another thread is started, which waits for the file to be there again.
    database.close();
    post({ failed: gone });
    port?.close();
  });
}

/**
 * A file that came back is not migrated: one without the schema is not the file that was lost, and going on with it
 * would forget every revocation.
 */
async function prepareSchema(database: DatabaseSync): Promise<readonly string[]> {
  const migrations = sqliteMigrationPort(database);
  if (first) return migrateUp(migrations, nowMs);
  const states = await migrationStates(migrations);
  if (states.every(({ state }) => state === 'applied')) return [];
  const text = `${file} has another schema than the file that was lost; start the gateway again if it is the right one`;
  throw faultError({ kind: 'unavailable', text });
}

try {
  const database = openFile(file, busyMs, first);
  try {
    const migrated = await prepareSchema(database);
    serve(database);
    post({ opened: true, migrated });
  } catch (error) {
    database.close();
    throw error;
  }
} catch (error) {
  post({ failed: faultIn(error) ?? faultOf(error, file) });
}
