import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DeviceLostError, Rescorer } from '../dist/index.js';
import { fakeWasm } from './fake-wasm.mjs';
import { workerFactory } from './fake-worker.mjs';

const blob = (value) => new Blob([JSON.stringify(value)]);
const model = { 'config.json': blob({ model_type: 'bert' }), 'tokenizer.json': blob({}), 'model.safetensors': new Blob(['weights']) };
const train = [{ id: 'u', ref: 'a', nbest: ['a', 'b'] }];

async function open(control = {}) {
  const log = [];
  const rescorer = await Rescorer.fromPretrained(model, { device: 'wasm', worker: workerFactory(fakeWasm(control), log) });
  return { rescorer, log, control };
}

async function all(messages, look = () => {}) {
  const seen = [];
  for await (const message of messages) {
    seen.push(message);
    await look(message, seen);
  }
  return seen;
}

const steps = (messages) => messages.filter(({ type }) => type === 'step').map(({ step }) => step);
const upTo = (n, from = 1) => Array.from({ length: n - from + 1 }, (_, at) => from + at);

test('a run reports its steps, stores its best adapter and activates it', async () => {
  const { rescorer, log, control } = await open();
  const trainer = rescorer.createTrainer({ r: 4, epochs: 20, seed: 5, adapter: 'mine', corWeight: 0.1 });
  assert.equal(trainer.state, 'new');
  const seen = await all(trainer.run(train), (message) => {
    // The adapter is available when the last message arrives.
    if (message.type === 'finished') assert.equal(rescorer.activeAdapter, 'mine');
  });
  assert.deepEqual(steps(seen), upTo(20));
  assert.deepEqual([seen[0].type, seen.at(-1).type], ['started', 'finished']);
  assert.equal(trainer.state, 'finished');
  // Starts at seed + 1, and each step adds 1.
  assert.equal((await rescorer.rescore(['a']))[0].lm, 26);
  assert.deepEqual(rescorer.adapters().map(({ name, beta }) => [name, beta]), [['mine', 0.25]]);
  const initialised = log.find(({ op }) => op === 'adapter.init');
  assert.deepEqual(initialised.params.options, { r: 4, seed: 5 });
  const started = log.find(({ op }) => op === 'train.start');
  assert.deepEqual(started.params.options, { epochs: 20, seed: 5, corWeight: 0.1 });
  await assert.rejects(all(trainer.run(train)), { name: 'BadInputError' });
  assert.equal((await rescorer.saveAdapter('mine'))['adapter_config.json'] instanceof Blob, true);
  assert.equal(control.trainers, 0);
  await rescorer.dispose();
});

test('a run can be paused, resumed, and stopped with its best adapter', async () => {
  const { rescorer } = await open({ stepMs: 1 });
  const trainer = rescorer.createTrainer();
  const seen = await all(trainer.run(train), async ({ type, step }) => {
    if (type !== 'step') return;
    if (step === 3) {
      trainer.pause();
      assert.equal(trainer.state, 'paused');
      setTimeout(() => {
        assert.equal(trainer.step, 3);
        trainer.resume();
      }, 50);
    }
    if (step === 6) trainer.stop();
  });
  assert.deepEqual(steps(seen), upTo(6));
  assert.deepEqual(seen.at(-1), { type: 'stopped', step: 6, steps: 20 });
  assert.equal(trainer.state, 'stopped');
  assert.equal((await rescorer.rescore(['a']))[0].lm, 7);

  const other = rescorer.createTrainer();
  const ended = await all(other.run(train), ({ type, step }) => {
    if (type !== 'step' || step !== 2) return;
    other.pause();
    setTimeout(() => other.stop(), 20);
  });
  assert.equal(ended.at(-1).type, 'stopped');
  await rescorer.dispose();
});

test('a rescorer can rescore while it trains', async () => {
  const { rescorer } = await open();
  await all(rescorer.createTrainer({ seed: 1 }).run(train));
  const before = (await rescorer.rescore(['a']))[0].lm;
  await all(rescorer.createTrainer({ seed: 9 }).run(train), async ({ type }) => {
    if (type === 'step') assert.equal((await rescorer.rescore(['a']))[0].lm, before);
  });
  assert.notEqual((await rescorer.rescore(['a']))[0].lm, before);
  await rescorer.dispose();
});

test('an aborted run throws, also while paused, and stores nothing', async () => {
  for (const paused of [false, true]) {
    const { rescorer, control } = await open({ stepMs: 1 });
    const controller = new AbortController();
    const trainer = rescorer.createTrainer();
    const run = all(trainer.run(train, [], { signal: controller.signal }), ({ type, step }) => {
      if (type !== 'step' || step !== 9) return;
      if (paused) trainer.pause();
      setTimeout(() => controller.abort(), paused ? 20 : 0);
    });
    await assert.rejects(run, { name: 'AbortError' });
    assert.equal(trainer.state, 'stopped');
    assert.equal(rescorer.activeAdapter, null);
    assert.equal(JSON.parse(new TextDecoder().decode(await trainer.checkpoint())).step, 8);
    await rescorer.memory();
    assert.equal(control.trainers, 0);
    await rescorer.dispose();
  }
});

test('leaving the loop ends the run', async () => {
  const { rescorer, control } = await open();
  const trainer = rescorer.createTrainer();
  for await (const { type } of trainer.run(train)) if (type === 'step') break;
  assert.equal(trainer.state, 'stopped');
  await rescorer.memory();
  assert.equal(control.trainers, 0);
  assert.deepEqual(rescorer.adapters(), []);
  await rescorer.dispose();
});

test('a run continues from a checkpoint and from another adapter', async () => {
  const { rescorer } = await open();
  const trainer = rescorer.createTrainer();
  let checkpoint;
  for await (const { type, step } of trainer.run(train)) {
    if (type !== 'step' || step !== 5) continue;
    checkpoint = await trainer.checkpoint();
    break;
  }
  const resumed = await all(rescorer.createTrainer({ adapter: 'first' }).run(train, [], { checkpoint }));
  assert.equal(resumed[0].done, 5);
  assert.deepEqual(steps(resumed), upTo(20, 6));
  await all(rescorer.createTrainer({ adapter: 'second', from: 'first' }).run(train));
  assert.equal((await rescorer.rescore(['a']))[0].lm, 41);
  await assert.rejects(all(rescorer.createTrainer({ from: 'none' }).run(train)), { name: 'BadInputError' });
  await assert.rejects(all(rescorer.createTrainer({ from: 'first', r: 4 }).run(train)), /r cannot be changed/);
  await rescorer.dispose();
});

test('a lost device costs the steps since the last mirror, and the result is the same', async () => {
  for (const loss of [{ lostAt: [13] }, { trapAt: 13 }]) {
    const { rescorer, control } = await open(loss);
    const trainer = rescorer.createTrainer();
    const seen = await all(trainer.run(train));
    const recovered = seen.find(({ type }) => type === 'recovered');
    assert.deepEqual([recovered.step, recovered.steps_lost], [8, 5]);
    assert.match(recovered.reason, /lost|unreachable/);
    assert.deepEqual(steps(seen), [...upTo(13), ...upTo(20, 9)]);
    assert.equal(seen.filter(({ type }) => type === 'started').length, 1);
    assert.equal(seen.filter(({ type }) => type === 'warning').length, 1);
    assert.equal(control.opens, 2);
    assert.equal((await rescorer.rescore(['a']))[0].lm, 21);
    await rescorer.dispose();
  }
});

test('a device lost before the first mirror restarts the run', async () => {
  const { rescorer } = await open({ lostAt: [3] });
  const seen = await all(rescorer.createTrainer().run(train));
  assert.deepEqual(steps(seen), [...upTo(3), ...upTo(20)]);
  await rescorer.dispose();
});

test('a run survives a device lost in another call', async () => {
  const { rescorer, control } = await open();
  await all(rescorer.createTrainer({ adapter: 'first' }).run(train));
  const seen = await all(rescorer.createTrainer().run(train), async ({ type, step }, before) => {
    if (type !== 'step' || step !== 10 || before.some(({ type }) => type === 'recovered')) return;
    control.loseScoring = 1;
    await rescorer.rescore(['a']);
  });
  assert.deepEqual(steps(seen), [...upTo(10), ...upTo(20, 9)]);
  await rescorer.dispose();
});

test('a checkpoint requested while the device is lost is the mirrored one, and the run continues', async () => {
  const { rescorer, control } = await open();
  await all(rescorer.createTrainer({ adapter: 'first' }).run(train));
  const trainer = rescorer.createTrainer();
  let kept;
  const seen = await all(trainer.run(train), async ({ type, step }) => {
    if (type !== 'step' || step !== 11 || kept) return;
    control.loseScoring = 1;
    await rescorer.rescore(['a']);
    kept = JSON.parse(new TextDecoder().decode(await trainer.checkpoint()));
  });
  assert.equal(kept.step, 8);
  assert.equal(seen.at(-1).type, 'finished');
  await rescorer.dispose();
});

test('a second loss is a DeviceLostError with the last saved state', async () => {
  const { rescorer } = await open({ lostAt: [10, 17] });
  const trainer = rescorer.createTrainer();
  const seen = [];
  let error;
  try {
    await all(trainer.run(train), (message) => void seen.push(message));
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof DeviceLostError, String(error));
  assert.match(error.message, /second time/);
  assert.equal(trainer.state, 'failed');
  assert.equal(JSON.parse(new TextDecoder().decode(error.checkpoint)).step, 16);
  const resumed = await all(rescorer.createTrainer().run(train, [], { checkpoint: error.checkpoint }));
  assert.deepEqual(steps(resumed), upTo(20, 17));
  await rescorer.dispose();
});

test('errors in the data or the loss end the run unchanged', async () => {
  const { rescorer } = await open({ badLossAt: 4 });
  await assert.rejects(all(rescorer.createTrainer().run([{ nbest: ['a', 'b'] }])), { name: 'BadInputError' });
  const trainer = rescorer.createTrainer();
  await assert.rejects(all(trainer.run(train)), /loss is NaN/);
  assert.equal(trainer.state, 'failed');
  await assert.rejects(rescorer.createTrainer().checkpoint(), { name: 'BadInputError' });
  await rescorer.dispose();
});
