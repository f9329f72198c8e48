// Training in the browser equals the native tool's, adapters are interchangeable, and a lost device costs a few steps.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { quiet } from './browser.mjs';
import { rescored, scratch, train, writeFiles } from './native.mjs';
import { lists, root } from './site.mjs';
import { stage } from './stage.mjs';

const tiny = join(root, 'tests/golden/tiny');
const file = join(tiny, 'lists.jsonl');
/** Twenty steps with one list each, with dropout and the correlation term. */
const OPTIONS = { batchTokens: 40, epochs: 5, r: 4, alpha: 8, dropout: 0.1, corWeight: 0.1, seed: 7 };
const FLAGS = '--batch-tokens 40 --epochs 5 --lora-r 4 --lora-alpha 8 --lora-dropout 0.1 --cor-weight 0.1 --seed 7'.split(' ');
const staged = stage();

/** Adds helpers to a page: a worker whose devices can be destroyed, and files as base64. */
async function prepare(page) {
  await page.evaluate(() => {
    window.workers = [];
    window.fragileWorker = () => {
      const prelude = `
        const devices = [], waiting = [];
        const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = async function (...options) {
          const device = await request.apply(this, options);
          devices.push(device);
          return device;
        };
        let ready = false;
        self.addEventListener('message', (event) => {
          if (event.data === 'destroy') for (const device of devices) device.destroy();
          else if (!ready) waiting.push(event);
          else return;
          event.stopImmediatePropagation();
        });
        await import('${location.origin}/lorb/worker.js');
        ready = true;
        for (const event of waiting) self.onmessage(event);`;
      const worker = new Worker(URL.createObjectURL(new Blob([prelude], { type: 'text/javascript' })), { type: 'module' });
      window.workers.push(worker);
      return worker;
    };
    window.base64 = async (files) => {
      const encoded = {};
      for (const [name, blob] of Object.entries(files)) {
        encoded[name] = btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
      }
      return encoded;
    };
  });
}

const steps = (messages) => messages.filter(({ type }) => type === 'step');

// A software adapter takes a second or more per step, so its long run is shorter, unless LORB_LONG_RUN=1.
for (const [device, epochs] of [['webgpu', process.env.LORB_LONG_RUN ? 125 : 15], ['wasm', 125]]) {
  const more = 4 * epochs;
  test(`twenty steps on ${device} have the native losses, adapters are interchangeable, memory stays flat over ${more}`, async (t) => {
    const { page, context, complaints } = await staged.visit();
    await prepare(page);
    const native = train(t, tiny, file, ['--dev', file, ...FLAGS]);
    const trained = ['adapter_config.json', 'adapter_model.safetensors'];
    const nativeFiles = Object.fromEntries(trained.map((name) => [name, readFileSync(join(native.output, name)).toString('base64')]));
    const answer = await page.evaluate(
      async ([device, options, given, nativeFiles, epochs]) => {
        const rescorer = await window.lorb.Rescorer.fromPretrained('/golden/tiny', { device });
        const messages = [];
        for await (const message of rescorer.createTrainer(options).run(given, given)) messages.push(message);
        const ours = await rescorer.rescoreAll(given, { weights: { beta: 1 } });
        const files = await window.base64(await rescorer.saveAdapter());
        const decoded = Object.entries(nativeFiles).map(([name, text]) => [name, Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
        const info = await rescorer.loadAdapter(Object.fromEntries(decoded), { name: 'native' });
        const theirs = await rescorer.rescoreAll(given, { weights: { beta: 1 } });
        const memory = [];
        const began = performance.now();
        for await (const { type, step } of rescorer.createTrainer({ ...options, epochs }).run(given)) {
          if (type === 'step' && step % (0.4 * epochs) === 0) memory.push(await rescorer.memory());
        }
        const seconds = (performance.now() - began) / 1000;
        await rescorer.dispose();
        return { messages, ours, files, info, theirs, memory, seconds };
      },
      [device, OPTIONS, lists('tiny'), nativeFiles, epochs],
    );
    const [ours, theirs] = [steps(answer.messages), steps(native.messages)];
    assert.equal(theirs.length, 20);
    assert.equal(ours.length, 20);
    let greatest = 0;
    for (const [at, { loss, lr, tokens }] of theirs.entries()) {
      greatest = Math.max(greatest, Math.abs(loss - ours[at].loss));
      assert.equal(ours[at].tokens, tokens);
      assert.equal(ours[at].lr, lr);
    }
    t.diagnostic(`maximum difference of the losses ${greatest.toExponential(1)}`);
    assert.ok(greatest < 1e-3, `${greatest}`);
    assert.deepEqual(answer.messages.map(({ type }) => type), native.messages.map(({ type }) => type));
    assert.deepEqual(Object.keys(answer.messages[0]).sort(), Object.keys(native.messages[0]).sort());

    const directory = writeFiles(scratch(t), answer.files);
    same(answer.ours, rescored(tiny, directory, file), t, 'tuned here, scored natively');
    same(answer.theirs, rescored(tiny, native.output, file), t, 'tuned natively, scored here');
    // The folder's name, not this server's URL.
    assert.equal(JSON.parse(Buffer.from(answer.files['adapter_config.json'], 'base64')).base_model_name_or_path, 'tiny');
    assert.equal(answer.info.rank, 4);
    assert.ok(Number.isFinite(answer.info.beta));

    const { memory, seconds } = answer;
    const [early, late] = [memory[1], memory.at(-1)];
    t.diagnostic(`device memory during the run: ${memory.map(({ device }) => device)}`);
    const between = 0.8 * more;
    t.diagnostic(`${(more / seconds).toFixed(1)} steps per second; bytes after a fifth of ${more} steps and after all: ${JSON.stringify([early, late])}`);
    assert.equal(memory.length, 10);
    assert.ok(early.wasm > 0);
    assert.equal(late.wasm, early.wasm);
    if (device === 'webgpu') {
      assert.ok(early.device > 0);
      // What the last batch needs is still held, and batches differ in size. A leak would take at least the runtime's smallest
      // allocation, 32 bytes, in every step.
      assert.ok(late.device - early.device < 32 * between, `${late.device - early.device} bytes in ${between} steps`);
      assert.ok(late.deviceReserved <= 1.01 * early.deviceReserved, `${late.deviceReserved} and ${early.deviceReserved}`);
    }
    quiet(complaints);
    await context.close();
  });
}

function same(ours, native, t, what) {
  let greatest = 0;
  native.forEach(({ nbest }, at) => {
    for (const { text, lm } of nbest) greatest = Math.max(greatest, Math.abs(ours[at].find((one) => one.text === text).lm - lm));
  });
  t.diagnostic(`${what}: ${greatest.toExponential(1)}`);
  assert.ok(greatest < 1e-4, `${what}: ${greatest}`);
}

test('a device destroyed during training costs a few steps; a second loss ends the run', async (t) => {
  const { page, context, complaints } = await staged.visit();
  await prepare(page);
  const native = train(t, tiny, file, ['--dev', file, ...FLAGS]);
  const answer = await page.evaluate(
    async ([options, given]) => {
      const { Rescorer, DeviceLostError } = window.lorb;
      const events = [];
      const rescorer = await Rescorer.fromPretrained('/golden/tiny', {
        device: 'webgpu',
        worker: window.fragileWorker,
        progress_callback: ({ status, from }) => events.push([status, from]),
      });
      const destroy = () => window.workers.at(-1).postMessage('destroy');
      const weights = { beta: 1 };
      const messages = [];
      let destroyed = false;
      for await (const message of rescorer.createTrainer(options).run(given, given)) {
        messages.push(message);
        if (message.type === 'step' && message.step === 11 && !destroyed) {
          destroyed = true;
          destroy();
        }
      }
      const before = await rescorer.rescore(given[0], { weights });
      destroy();
      const after = await rescorer.rescore(given[0], { weights });

      const destroyAt = new Set([9, 17]);
      const run = (more) => rescorer.createTrainer({ ...options, adapter: 'other' }).run(given, [], more);
      let thrown;
      try {
        for await (const { type, step } of run()) if (type === 'step' && destroyAt.delete(step)) destroy();
      } catch (error) {
        thrown = error;
      }
      const second = { lost: thrown instanceof DeviceLostError, message: thrown?.message, kept: thrown?.checkpoint?.length };
      const resumed = [];
      for await (const { type, step, loss } of run({ checkpoint: thrown?.checkpoint })) if (type === 'step') resumed.push([step, loss]);
      await rescorer.dispose();
      return { messages, events, before, after, second, resumed, workers: window.workers.length };
    },
    [OPTIONS, lists('tiny')],
  );
  const { messages, events, before, after, second, resumed } = answer;
  const recovered = messages.filter(({ type }) => type === 'recovered');
  assert.equal(recovered.length, 1, JSON.stringify(messages.map(({ type, step }) => [type, step])));
  t.diagnostic(`recovered: ${JSON.stringify(recovered[0])}`);
  assert.match(recovered[0].reason, /lost|destroyed/i);
  assert.equal(recovered[0].step, 8);
  assert.ok(recovered[0].steps_lost >= 3, `${recovered[0].steps_lost}`);
  // After that, the run equals the uninterrupted one and the native one.
  const expected = steps(native.messages);
  const last = steps(messages).slice(-12);
  assert.deepEqual(last.map(({ step }) => step), Array.from({ length: 12 }, (_, at) => at + 9));
  for (const { step, loss } of last) assert.ok(Math.abs(loss - expected[step - 1].loss) < 1e-3, `step ${step}: ${loss}`);
  assert.equal(messages.at(-1).type, 'finished');
  // The base came from the cache.
  const again = events.slice(events.findIndex(([status]) => status === 'recover'));
  assert.deepEqual([...new Set(again.filter(([status]) => status === 'done').map(([, from]) => from))], ['cache']);

  after.forEach(({ text, lm }, at) => {
    assert.equal(text, before[at].text);
    assert.ok(Math.abs(lm - before[at].lm) < 1e-5);
  });

  assert.ok(second.lost && second.kept > 0, second.message);
  assert.match(second.message, /second time/);
  assert.deepEqual(resumed.map(([step]) => step), [17, 18, 19, 20]);
  for (const [step, loss] of resumed) assert.ok(Math.abs(loss - expected[step - 1].loss) < 1e-3, `step ${step}: ${loss}`);
  assert.equal(answer.workers, 5);
  quiet(complaints, [/device.*(lost|destroyed)/i]);
  await context.close();
});

test('a run can be aborted, paused, stopped and resumed', async () => {
  const { page, context, complaints } = await staged.visit();
  const answer = await page.evaluate(
    async ([options, given]) => {
      const rescorer = await window.lorb.Rescorer.fromPretrained('/golden/tiny', { device: 'wasm' });
      const controller = new AbortController();
      const seen = [];
      let aborted;
      try {
        for await (const { type, step } of rescorer.createTrainer(options).run(given, [], { signal: controller.signal })) {
          if (type === 'step') seen.push(step);
          if (step === 3) controller.abort();
        }
      } catch (error) {
        aborted = [error instanceof DOMException, error.name, rescorer.activeAdapter];
      }
      const calls = { abort: await rescorer.rescoreAll(given, { signal: AbortSignal.abort() }).catch(({ name }) => name) };

      const trainer = rescorer.createTrainer(options);
      let paused = 0;
      let checkpoint;
      const losses = [];
      for await (const message of trainer.run(given)) {
        if (message.type !== 'step') continue;
        losses.push([message.step, message.loss]);
        if (message.step === 5) {
          trainer.pause();
          const since = performance.now();
          setTimeout(() => ((paused = performance.now() - since), trainer.resume()), 300);
        }
        if (message.step === 10) {
          checkpoint = await trainer.checkpoint();
          trainer.stop();
        }
      }
      const stopped = [trainer.state, trainer.step, rescorer.activeAdapter];
      for await (const message of rescorer.createTrainer(options).run(given, [], { checkpoint })) {
        if (message.type === 'step') losses.push([message.step, message.loss]);
      }
      const plain = [];
      for await (const message of rescorer.createTrainer(options).run(given)) {
        if (message.type === 'step') plain.push([message.step, message.loss]);
      }
      for await (const _ of rescorer.createTrainer({ ...options, epochs: 1, beta: 2, firstScale: 0.5, adapter: 'untuned' }).run(given));
      const { beta } = rescorer.adapters().find(({ name }) => name === 'untuned');
      await rescorer.dispose();
      return { seen, aborted, calls, paused, stopped, losses, plain, beta };
    },
    [OPTIONS, lists('tiny')],
  );
  assert.deepEqual(answer.seen, [1, 2, 3]);
  assert.deepEqual(answer.aborted, [true, 'AbortError', null]);
  assert.equal(answer.calls.abort, 'AbortError');
  assert.ok(answer.paused >= 290);
  assert.deepEqual(answer.stopped, ['stopped', 10, 'default']);
  // Bit for bit on the CPU.
  assert.deepEqual(answer.losses, answer.plain);
  // Without dev lists, beta is the one for unscaled first-pass scores.
  assert.equal(answer.beta, 4);
  quiet(complaints);
  await context.close();
});

test('an adapter and a checkpoint persist in the origin private file system', async () => {
  const { page, context, complaints } = await staged.visit();
  const write = ([options, given]) =>
    (async () => {
      const { AdapterStore, Rescorer } = window.lorb;
      const store = await AdapterStore.open();
      const rescorer = await Rescorer.fromPretrained('/golden/tiny', { device: 'wasm' });
      const trainer = rescorer.createTrainer(options);
      for await (const { type, step } of trainer.run(given)) {
        if (type === 'step' && step === 8) {
          await store.save('run', { checkpoint: await trainer.checkpoint() });
          trainer.stop();
        }
      }
      await store.save('mine', await rescorer.saveAdapter());
      const scores = await rescorer.score([['turn off the lights']]);
      await rescorer.dispose();
      return scores;
    })();
  const before = await page.evaluate(write, [OPTIONS, lists('tiny')]);
  await page.reload();
  const after = await page.evaluate(
    async ([options, given]) => {
      const { AdapterStore, Rescorer } = window.lorb;
      const store = await AdapterStore.open();
      const rescorer = await Rescorer.fromPretrained('/golden/tiny', { device: 'wasm', adapter: await store.load('mine') });
      const scores = await rescorer.score([['turn off the lights']]);
      const checkpoint = new Uint8Array(await (await store.load('run')).checkpoint.arrayBuffer());
      const resumed = [];
      for await (const { type, step } of rescorer.createTrainer(options).run(given, [], { checkpoint })) if (type === 'step') resumed.push(step);
      const names = await store.list();
      await store.delete('run');
      await rescorer.dispose();
      return { scores, resumed, names, left: await store.list() };
    },
    [OPTIONS, lists('tiny')],
  );
  assert.deepEqual(after.scores, before);
  assert.deepEqual(after.resumed, Array.from({ length: 12 }, (_, at) => at + 9));
  assert.deepEqual([after.names, after.left], [['mine', 'run'], ['mine']]);
  quiet(complaints);
  await context.close();
});
