/** The GPU without LoRB: kernels, buffers, and how long a kernel takes. The same method as `lorb bench --sweep`. */

/** A timing has at least this many repetitions. */
const LEAST_REPEATS = 3;
/** Launches that are waited for together take at least this long, in ms, so that waiting is negligible. */
export const LEAST_BATCH = 20;
const MOST_LAUNCHES = 4096;
/** Bytes of a timestamp. */
const STAMP = 8;

/**
 * @typedef {object} Gpu
 * @property {GPUDevice} device
 * @property {GPUAdapterInfo} info
 * @property {boolean} timestamps
 */
/** @typedef {{pipeline: GPUComputePipeline, group: GPUBindGroup, groups: [number, number, number]}} Kernel */
/** @typedef {{host: number, least: number, device: number | null, repeats: number}} Times Median and minimum of the host, median of the device, in ms. */

/** What is missing for WebGPU, or the GPU. @returns {Promise<{gpu: Gpu} | {missing: string}>} */
export async function openGpu() {
  if (!isSecureContext) return { missing: 'WebGPU needs a page from https or localhost.' };
  if (!navigator.gpu) return { missing: 'This browser has no WebGPU, or it is turned off. Chrome and Edge have it, and new versions of Safari and Firefox.' };
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return { missing: 'WebGPU finds no GPU that it can use here. The browser may block this GPU or its driver.' };
  const timestamps = adapter.features.has('timestamp-query');
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: timestamps ? ['timestamp-query'] : [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  return { gpu: { device, info: adapter.info, timestamps } };
}

/** Runs `work` and throws what the device reports against it. @template T @param {Gpu} gpu @param {() => T} work @returns {Promise<T>} */
async function checked({ device }, work) {
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
  const done = work();
  const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  const error = errors.find((found) => found !== null);
  if (error) throw new Error(error.message.split('\n')[0]);
  return done;
}

/** @param {Gpu} gpu @param {string} code @param {string} entryPoint @returns {Promise<GPUComputePipeline>} */
export function compile({ device }, code, entryPoint) {
  const module = device.createShaderModule({ code });
  return device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint } });
}

/** @param {Gpu} gpu @param {number} bytes @param {GPUBufferUsageFlags} usage */
export function memory(gpu, bytes, usage = GPUBufferUsage.STORAGE) {
  const size = Math.ceil(bytes / 16) * 16;
  return checked(gpu, () => gpu.device.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC }));
}

/** Random floats in [low, high). @param {Gpu} gpu @param {number} elements @param {number} low @param {number} high */
export async function random(gpu, elements, low, high) {
  const buffer = await memory(gpu, 4 * elements);
  const next = numbers(elements);
  for (let start = 0; start < elements; start += 1 << 20) {
    const piece = Float32Array.from({ length: Math.min(1 << 20, elements - start) }, () => low + (high - low) * next());
    gpu.device.queue.writeBuffer(buffer, 4 * start, piece);
    // The page stays responsive.
    await new Promise((resolve) => setTimeout(resolve));
  }
  return buffer;
}

/** Numbers in [0, 1), the same for the same seed (xorshift of 32 bits). @param {number} seed */
export function numbers(seed) {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** A bind group of storage buffers and the uniform. @param {Gpu} gpu @param {GPUComputePipeline} pipeline @param {GPUBuffer[]} buffers @param {GPUBufferBinding} uniform */
export function bindGroup({ device }, pipeline, buffers, uniform) {
  const bindings = [...buffers.map((buffer) => ({ buffer })), uniform];
  return device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: bindings.map((resource, binding) => ({ binding, resource })) });
}

/** Words of 32 bits, padded to the alignment of a uniform struct. @param {number[]} words */
export function padded(words) {
  return new Uint32Array(Math.ceil(words.length / 4) * 4).map((_, at) => words[at] ?? 0);
}

/** @param {Gpu} gpu @param {GPUComputePipeline} pipeline @param {GPUBuffer[]} buffers @param {number[]} words @param {[number, number, number]} groups @returns {Promise<Kernel>} */
export async function bind(gpu, pipeline, buffers, words, groups) {
  const values = padded(words);
  const params = await memory(gpu, values.byteLength, GPUBufferUsage.UNIFORM);
  gpu.device.queue.writeBuffer(params, 0, values);
  const group = await checked(gpu, () => bindGroup(gpu, pipeline, buffers, { buffer: params }));
  return { pipeline, group, groups };
}

/** Two timestamps around a pass. */
export class Stamps {
  /** @param {Gpu} gpu */
  constructor({ device }) {
    this.device = device;
    this.set = device.createQuerySet({ type: 'timestamp', count: 2 });
    this.resolved = device.createBuffer({ size: 2 * STAMP, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    this.staging = device.createBuffer({ size: 2 * STAMP, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  }

  get writes() {
    return { querySet: this.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
  }

  /** Milliseconds between the two after the pass; `null` if they are not in order. */
  async read() {
    const encoder = this.device.createCommandEncoder();
    encoder.resolveQuerySet(this.set, 0, 2, this.resolved, 0);
    encoder.copyBufferToBuffer(this.resolved, 0, this.staging, 0, 2 * STAMP);
    this.device.queue.submit([encoder.finish()]);
    await this.staging.mapAsync(GPUMapMode.READ);
    const [start, end] = new BigUint64Array(this.staging.getMappedRange());
    const apart = start !== undefined && end !== undefined && end > start ? Number(end - start) / 1e6 : null;
    this.staging.unmap();
    return apart;
  }
}

/** Launches a kernel and waits. @param {Gpu} gpu @param {Kernel} kernel @param {number} count @param {Stamps | null} stamps */
export async function run(gpu, { pipeline, group, groups }, count, stamps = null) {
  await checked(gpu, () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass(stamps ? { timestampWrites: stamps.writes } : {});
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let at = 0; at < count; at += 1) pass.dispatchWorkgroups(...groups);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
  });
  await gpu.device.queue.onSubmittedWorkDone();
}

/** Times a kernel for `seconds` after its warm-up. @param {Gpu} gpu @param {Kernel} kernel @param {number} seconds @returns {Promise<Times>} */
export async function time(gpu, kernel, seconds) {
  const stamps = gpu.timestamps ? new Stamps(gpu) : null;
  /** @param {number} count @returns {Promise<[number, number | null]>} */
  const batch = async (count) => {
    const before = performance.now();
    await run(gpu, kernel, count, stamps);
    return [performance.now() - before, stamps ? await stamps.read() : null];
  };
  await batch(1);
  let count = 1;
  let [taken] = await batch(count);
  while (taken < LEAST_BATCH && count < MOST_LAUNCHES) {
    count *= 2;
    [taken] = await batch(count);
  }
  const start = performance.now();
  /** @type {number[]} */
  const host = [];
  /** @type {number[]} */
  const device = [];
  while (host.length < LEAST_REPEATS || performance.now() - start < 1e3 * seconds) {
    const [ofHost, ofDevice] = await batch(count);
    host.push(ofHost / count);
    if (ofDevice !== null) device.push(ofDevice / count);
  }
  return { host: median(host), least: Math.min(...host), device: device.length === host.length ? median(device) : null, repeats: host.length * count };
}

/** Times a step that waits for itself. @param {number} seconds @param {() => Promise<unknown>} step */
export async function repeat(seconds, step) {
  /** @type {number[]} */
  const times = [];
  const start = performance.now();
  while (times.length < LEAST_REPEATS || performance.now() - start < 1e3 * seconds) {
    const before = performance.now();
    await step();
    times.push(performance.now() - before);
  }
  return { host: median(times), least: Math.min(...times) };
}

/** @param {number[]} values */
export function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

/** The first floats of a buffer. @param {Gpu} gpu @param {GPUBuffer} buffer @param {number} count */
export async function read({ device }, buffer, count) {
  const staging = device.createBuffer({ size: 4 * count, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, 4 * count);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return new Float32Array(staging.getMappedRange().slice(0));
}

/** Throws if a kernel computed nonsense, because its time means nothing then. @param {Gpu} gpu @param {GPUBuffer} buffer @param {string} what */
export async function check(gpu, buffer, what) {
  const values = await read(gpu, buffer, 4);
  if (!values.every((value) => Number.isFinite(value) && value !== 0)) throw new Error(`${what} gave ${values.join(', ')}: this GPU returns wrong results`);
}
