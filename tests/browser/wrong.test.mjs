// A GPU that returns wrong results is refused before any result is returned.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { altered } from './altered.mjs';
import { quiet } from './browser.mjs';
import { lists } from './site.mjs';
import { stage } from './stage.mjs';

const staged = stage();

/** Opens the tiny base with `from` replaced by `to` in every shader, trains for a step, and returns how far it got. */
function spoiled(page, [from, to]) {
  const source = altered(
    staged.server.root,
    `const create = GPUDevice.prototype.createShaderModule;
    GPUDevice.prototype.createShaderModule = function (descriptor) {
      const code = descriptor.code.replaceAll(${JSON.stringify(from)}, ${JSON.stringify(to)});
      return create.call(this, { ...descriptor, code });
    };`,
  );
  return page.evaluate(
    async ([source, given]) => {
      const worker = () => new Worker(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), { type: 'module' });
      const reached = [];
      let rescorer;
      try {
        rescorer = await window.lorb.Rescorer.fromPretrained('/golden/tiny', { device: 'webgpu', worker });
        reached.push('ready');
        for await (const { type } of rescorer.createTrainer({ epochs: 1, batchTokens: 40 }).run(given)) reached.push(type);
      } catch (error) {
        return { reached, name: error.name, message: error.message, active: rescorer?.activeAdapter ?? null };
      } finally {
        await rescorer?.dispose();
      }
      return { reached };
    },
    [source, lists('tiny')],
  );
}

test('a faulty rescoring kernel is detected on loading, a faulty training kernel at the first step', async (t) => {
  const { page, context, complaints } = await staged.visit();
  page.setDefaultTimeout(180_000);
  const [head, optimiser, sound] = [
    ['scores[row] = score + head', 'scores[row] = score - head'],
    ['* p.weight_decay) - way', '* p.weight_decay) + way'],
    ['text in no shader', ''],
  ];
  const first = await spoiled(page, head);
  assert.equal(first.name, 'DeviceRefusedError', JSON.stringify(first));
  assert.match(first.message, /score_head.*wasm/);
  assert.deepEqual(first.reached, []);

  const second = await spoiled(page, optimiser);
  assert.equal(second.name, 'DeviceRefusedError', JSON.stringify(second));
  assert.match(second.message, /adamw/);
  assert.ok(second.reached.includes('ready') && !second.reached.includes('step'), `${second.reached}`);
  assert.equal(second.active, null);

  const third = await spoiled(page, sound);
  t.diagnostic(`without a fault: ${third.reached}`);
  assert.equal(third.name, undefined, third.message);
  assert.equal(third.reached.at(-1), 'finished');
  quiet(complaints);
  await context.close();
});
