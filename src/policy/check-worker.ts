/** Entry of the worker thread that checks one policy file and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { checkPolicyText } from './check.ts';

const { text, regions } = workerData as { text: string; regions: boolean };
parentPort?.postMessage(checkPolicyText(text, regions));
