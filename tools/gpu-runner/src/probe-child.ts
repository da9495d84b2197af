/*
 * Opens the default adapter, computes something on it and prints what it is as one line of JSON. A process of its own,
 * since the loader reads LD_LIBRARY_PATH only when a process starts, and since a bad driver may crash.
 */
import { create, globals } from 'webgpu';
import { type AdapterReport, adapterKind } from './adapter.ts';
import type { ProbeAnswer } from './probe.ts';

async function answer(): Promise<ProbeAnswer> {
  const seen = await adapterNames();
  const wanted = process.env.SACCADE_ADAPTER_NAME?.toLowerCase();
  const name = wanted === undefined ? undefined : seen.find((candidate) => candidate.toLowerCase().includes(wanted));
  if (wanted !== undefined && name === undefined) return { found: false, seen };
  const first = await open(name);
  if (!first) return { found: false, seen };
  if (wanted !== undefined || first.kind === 'hardware') return { found: true, adapter: first, name, seen };
  // Dawn's own preference is not the user's where it lists a software driver before a GPU.
  for (const other of seen) {
    const adapter = await open(other);
    if (adapter?.kind === 'hardware') return { found: true, adapter, name: other, seen };
  }
  return { found: true, adapter: first, seen };
}

/** Dawn tells the adapters that it sees only when none fits a name. */
async function adapterNames(): Promise<string[]> {
  try {
    await create(['adapter=no adapter has this name']).requestAdapter();
  } catch (error) {
    return [...String(error).matchAll(/name: '(.*)'$/gm)].map((match) => match[1] ?? '');
  }
  return [];
}

/** Dawn's default adapter, or the one of the given name; tried with a small computation. */
async function open(name: string | undefined): Promise<AdapterReport | undefined> {
  const gpu = create(name === undefined ? [] : [`adapter=${name}`]);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return undefined;
  const device = await adapter.requestDevice();
  await double21(device);
  device.destroy();
  const { vendor, architecture, device: deviceName, description, isFallbackAdapter: fallback } = adapter.info;
  const limits: Record<string, number> = {};
  for (const key in adapter.limits) {
    const value = adapter.limits[key as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[key] = value;
  }
  const kind = adapterKind({ architecture, device: deviceName, description, fallback });
  const features = [...adapter.features].sort();
  return { kind, vendor, architecture, device: deviceName, description, features, limits };
}

/** A driver that lists a device but cannot run a shader is of no use. */
async function double21(device: GPUDevice): Promise<void> {
  const { GPUBufferUsage, GPUMapMode } = globals as typeof globalThis;
  const code = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @compute @workgroup_size(1) fn main() { data[0] = data[0] * 2u; }`;
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }) },
  });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const data = device.createBuffer({ size: 4, usage });
  const readable = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(data, 0, new Uint32Array([21]));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [{ binding: 0, resource: { buffer: data } }];
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(data, 0, readable, 0, 4);
  device.queue.submit([encoder.finish()]);
  await readable.mapAsync(GPUMapMode.READ);
  const result = new Uint32Array(readable.getMappedRange())[0];
  if (result !== 42) throw new Error(`the adapter computes 2 * 21 = ${result}`);
}

process.stdout.write(`${JSON.stringify(await answer())}\n`, () => process.exit(0));
