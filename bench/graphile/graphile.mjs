// Client and worker of graphile-worker, for the benchmark: node graphile.mjs client, or
// node graphile.mjs worker KIND SLOTS LOCAL_QUEUE BATCH_DELAY_MS. The database is in the environment.
// Both take orders on standard input, a line each, and answer on standard output.
import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';

const connections = 20;
const batch = 1000;
const submitters = 2;

const pool = new pg.Pool({ max: connections });
const logger = new Logger(() => () => {});
const orders = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (text) => process.stdout.write(`${text}\n`);
const order = async () => (await orders.next()).value?.split(' ') ?? ['end'];
// Nanoseconds of the clock that other processes have too.
const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n;
const pause = (ms) => new Promise((go) => setTimeout(go, ms));

// What ends the process in good order: a worker's jobs first.
let close = async () => {};
process.on('SIGTERM', async () => { await close(); process.exit(0); });

async function client() {
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  await utils.migrate();
  await pool.query('CREATE TABLE IF NOT EXISTS fanned (id bigint PRIMARY KEY)');
  const left = async (id) =>
    (await pool.query('SELECT 1 FROM graphile_worker._private_jobs WHERE $1::bigint IS NULL OR id = $1 LIMIT 1', [id])).rowCount > 0;

  const fill = async (n) => {
    await Promise.all(Array.from({ length: submitters }, async (_, i) => {
      let rest = Math.floor((n * (i + 1)) / submitters) - Math.floor((n * i) / submitters);
      for (; rest > 0; rest -= batch) {
        await utils.addJobs(Array.from({ length: Math.min(batch, rest) }, () => ({ identifier: 'noop', payload: {} })));
      }
    }));
  };
  // A job that has ended is deleted.
  const one = async () => {
    const began = now();
    const { id } = await utils.addJob('stamp', {});
    while (await left(id));
    say(`one ${id} ${began} ${now()}`);
  };

  say('ready');
  for (;;) {
    const [what, n] = await order();
    switch (what) {
      case 'fill': await fill(Number(n)); say('filled'); break;
      case 'one': await one(); break;
      case 'drained': while (await left(null)) await pause(5); say('drained'); break;
      case 'graph': await utils.addJob('first', { steps: Number(n) }); say('submitted'); break;
      case 'end': process.exit(0); // whoever gives orders has gone
    }
  }
}

async function worker([kind, slots, localQueue, delay]) {
  const events = new EventEmitter();
  const taskList = {
    noop: async () => {},
    stamp: async (_, { job }) => say(`start ${job.id} ${now()}`),
    ...(kind === 'fan' ? fan : chain),
  };
  events.on('job:complete', ({ job }) => { if (job.task_identifier === 'last') say('ended'); });
  const preset = { worker: { concurrentJobs: Number(slots), pollInterval: 500 } };
  if (Number(localQueue)) {
    preset.worker.localQueue = { size: Number(localQueue), ttl: 60_000 };
    preset.worker.completeJobBatchDelay = preset.worker.failJobBatchDelay = Number(delay);
  }
  await pool.query('SELECT 1');
  say('ready');
  await order();
  const runner = await run({ pgPool: pool, logger, noHandleSignals: true, events, taskList, preset });
  close = () => runner.stop();
}

// Each step adds the next before it ends.
const step = async ({ steps }, { addJob }) => {
  await addJob(steps > 2 ? 'step' : 'last', { steps: steps - 1 });
};
const chain = { first: step, step, last: async () => {} };

// Each of many records itself; whoever finds that all have adds the last, which only one can.
const fan = {
  first: async ({ steps }, { addJobs }) => {
    await addJobs(Array.from({ length: steps }, (_, id) => ({ identifier: 'middle', payload: { id, steps } })));
  },
  middle: async ({ id, steps }, { addJob, query }) => {
    await query('INSERT INTO fanned VALUES ($1) ON CONFLICT DO NOTHING', [id]);
    const { rows } = await query('SELECT count(*)::int AS n FROM fanned');
    if (rows[0].n === steps) await addJob('last', {}, { jobKey: 'last' });
  },
  last: async () => {},
};

if (process.argv[2] === 'client') await client();
else await worker(process.argv.slice(3));
