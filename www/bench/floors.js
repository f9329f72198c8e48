/** The least that launches, uploads and reads cost, and the rates of arithmetic and copies. */

import { LEAST_BATCH, Stamps, bind, bindGroup, check, compile, median, memory, padded, random, repeat, time } from './gpu.js';

/** @import {Gpu} from './gpu.js' */
/** @import {Found, Settings} from './measure.js' */

/** burn's runtime submits after 32 launches, and a training step makes about 200. */
const PER_SUBMIT = [1, 32, 200];
/** Launches that are waited for together, at least. */
const LAUNCHES = 400;
const UPLOADS = [16 << 10, 16 << 20];
/** Distance of the parameters of two launches, which every device's alignment divides. */
const APART = 256;
const INVOCATIONS = 2048 * 256;
/** Operations of an invocation in a round: 4 turns, 8 chains, 4 lanes, product and sum. */
const PER_ROUND = 4 * 8 * 4 * 2;
const MOST_ROUNDS = 1 << 14;
/** Bytes of each copied buffer: the most that every WebGPU device can bind. */
const COPIED = 128 << 20;

/** @param {string} name */
async function kernelText(name) {
  const answer = await fetch(`kernels/${name}.wgsl`);
  if (!answer.ok) throw new Error(`kernels/${name}.wgsl: ${answer.status}`);
  return answer.text();
}

/** @param {Gpu} gpu @param {Settings} settings @param {Found} found */
export async function measureFloors(gpu, { seconds }, found) {
  const pipeline = await compile(gpu, await kernelText('empty'), 'empty');
  for (const per_submit of PER_SUBMIT) {
    for (const new_parameters of [false, true]) found(await launches(gpu, pipeline, seconds, per_submit, new_parameters));
  }
  for (const bytes of UPLOADS) {
    const buffer = await memory(gpu, bytes);
    const values = new Uint8Array(bytes).fill(1);
    const { host } = await repeat(seconds, () => {
      gpu.device.queue.writeBuffer(buffer, 0, values);
      return gpu.device.queue.onSubmittedWorkDone();
    });
    buffer.destroy();
    found({ row: 'upload', bytes, microseconds: 1e3 * host, gb_s: bytes / host / 1e6 });
  }
  const buffer = await memory(gpu, 16);
  const staging = gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const { host, least } = await repeat(seconds, async () => {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, 16);
    gpu.device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    staging.unmap();
  });
  found({ row: 'read', microseconds: 1e3 * host, least_microseconds: 1e3 * least });
}

/** Submissions of empty launches; with new parameters, each has an upload and a bind group of its own, as LoRB's have. @param {Gpu} gpu @param {GPUComputePipeline} pipeline @param {number} seconds @param {number} perSubmit @param {boolean} fresh */
async function launches(gpu, pipeline, seconds, perSubmit, fresh) {
  const { device } = gpu;
  const y = await memory(gpu, 256);
  const kernel = await bind(gpu, pipeline, [y], [0], [1, 1, 1]);
  const params = await memory(gpu, perSubmit * APART, GPUBufferUsage.UNIFORM);
  const words = padded([0]);
  const stamps = gpu.timestamps ? new Stamps(gpu) : null;
  const submits = Math.ceil(LAUNCHES / perSubmit);
  /** @param {boolean} last */
  const submit = (last) => {
    /** @type {GPUBindGroup[]} */
    const groups = [];
    for (let at = 0; fresh && at < perSubmit; at += 1) {
      device.queue.writeBuffer(params, at * APART, words);
      groups.push(bindGroup(gpu, pipeline, [y], { buffer: params, offset: at * APART, size: words.byteLength }));
    }
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass(stamps && last ? { timestampWrites: stamps.writes } : {});
    for (let at = 0; at < perSubmit; at += 1) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groups[at] ?? kernel.group);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
  /** @type {number[]} */
  const onDevice = [];
  // The time until everything is encoded and submitted: what the page's own thread spends.
  /** @type {number[]} */
  const encoded = [];
  const { host, least } = await repeat(seconds, async () => {
    const before = performance.now();
    for (let at = 1; at <= submits; at += 1) submit(at === submits);
    encoded.push(performance.now() - before);
    await device.queue.onSubmittedWorkDone();
    const apart = stamps && (await stamps.read());
    if (apart) onDevice.push(apart);
  });
  const all = submits * perSubmit;
  return {
    row: 'launch',
    per_submit: perSubmit,
    new_parameters: fresh,
    microseconds: (1e3 * host) / all,
    least_microseconds: (1e3 * least) / all,
    script_microseconds: (1e3 * median(encoded)) / all,
    ...(onDevice.length ? { device_microseconds: (1e3 * median(onDevice)) / perSubmit } : {}),
  };
}

/** @param {Gpu} gpu @param {Settings} settings @param {Found} found */
export async function measurePeak(gpu, { seconds, invocations = INVOCATIONS, copied = COPIED }, found) {
  const text = await kernelText('multiply_add');
  let best = { gflop_s: 0, fused: false };
  const factors = await random(gpu, 8 * invocations, 0.1, 0.9);
  const y = await memory(gpu, 16 * invocations);
  for (const fused of [false, true]) {
    const pipeline = await compile(gpu, `const FUSED: bool = ${fused};\n${text}`, 'multiply_add');
    for (let rounds = 1; ; ) {
      const kernel = await bind(gpu, pipeline, [factors, y], [rounds], [invocations / 256, 1, 1]);
      const quick = await time(gpu, kernel, 0);
      const taken = quick.device ?? quick.host;
      if (taken < LEAST_BATCH / 2 && rounds < MOST_ROUNDS) {
        rounds *= taken < LEAST_BATCH / 16 ? 8 : 2;
        continue;
      }
      const times = await time(gpu, kernel, seconds);
      await check(gpu, y, 'multiply-adds');
      const gflop_s = (invocations * PER_ROUND * rounds) / (times.device ?? times.least) / 1e6;
      if (gflop_s > best.gflop_s) best = { gflop_s, fused };
      break;
    }
  }
  for (const buffer of [factors, y]) buffer.destroy();
  found({ row: 'peak', ...best });

  const pipeline = await compile(gpu, await kernelText('copy'), 'copy');
  const bytes = Math.floor(Math.min(copied, gpu.device.limits.maxStorageBufferBindingSize) / 4096) * 4096;
  const [from, to] = [await random(gpu, bytes / 4, -1, 1), await memory(gpu, bytes)];
  const kernel = await bind(gpu, pipeline, [from, to], [bytes / 16], [Math.ceil(bytes / 16 / 256), 1, 1]);
  const times = await time(gpu, kernel, seconds);
  await check(gpu, to, 'a copy');
  found({ row: 'copy', gb_s: (2 * bytes) / (times.device ?? times.least) / 1e6 });
  for (const buffer of [from, to]) buffer.destroy();
}
