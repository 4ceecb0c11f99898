/** Holds a file as another program would, until its standard input ends. */
import { DatabaseSync } from 'node:sqlite';

const [file = ''] = process.argv.slice(2);
const database = new DatabaseSync(file);
database.exec('begin exclusive');
console.log('held');
for await (const _text of process.stdin);
database.exec('rollback');
database.close();
