/*
 * Opens the default adapter, computes something on it and prints what it is as one line of JSON. A process of its own,
 * since the loader reads LD_LIBRARY_PATH only when a process starts, and since a bad driver may crash.
 */
import { create, globals } from 'webgpu';
import { adapterKind } from './adapter.ts';
import type { ProbeAnswer } from './probe.ts';

async function answer(): Promise<ProbeAnswer> {
  const name = process.env.SACCADE_ADAPTER_NAME;
  const gpu = create(name ? [`adapter=${name}`] : []);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return { found: false };
  const device = await adapter.requestDevice();
  await double21(device);
  const { vendor, architecture, device: deviceName, description } = adapter.info;
  const limits: Record<string, number> = {};
  for (const key in adapter.limits) {
    const value = adapter.limits[key as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[key] = value;
  }
  const fallback = adapter.info.isFallbackAdapter;
  const kind = adapterKind({ architecture, device: deviceName, description, fallback });
  const features = [...adapter.features].sort();
  return { found: true, adapter: { kind, vendor, architecture, device: deviceName, description, features, limits } };
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
