import { expect, it } from 'vitest';
import { chromiumForTests } from '../src/index.ts';

const chromium = await chromiumForTests();
const skipped = chromium.missing ? ` (skipped: ${chromium.missing})` : '';

it.skipIf(chromium.missing)(`computes on WebGPU in a page${skipped}`, async () => {
  const browser = await chromium.launch();
  try {
    const page = await browser.newPage();
    await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto('http://localhost/');
    const sum = await page.evaluate(async () => {
      const device = await (await navigator.gpu.requestAdapter())?.requestDevice();
      if (!device) return undefined;
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
      const buffer = device.createBuffer({ size: 4, usage, mappedAtCreation: true });
      new Uint32Array(buffer.getMappedRange())[0] = 41;
      buffer.unmap();
      const code =
        '@group(0) @binding(0) var<storage, read_write> x: array<u32>; @compute @workgroup_size(1) fn main() { x[0] += 1; }';
      const pipeline = device.createComputePipeline({
        layout: 'auto',
        compute: { module: device.createShaderModule({ code }) },
      });
      const read = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      const entries = [{ binding: 0, resource: { buffer } }];
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(1);
      pass.end();
      encoder.copyBufferToBuffer(buffer, 0, read, 0, 4);
      device.queue.submit([encoder.finish()]);
      await read.mapAsync(GPUMapMode.READ);
      return new Uint32Array(read.getMappedRange())[0];
    });
    expect(sum).toBe(42);
  } finally {
    await browser.close();
  }
});

it.skipIf(chromium.missing)(`starts without WebGPU where that is asked for${skipped}`, async () => {
  const browser = await chromium.launch({ webGpu: false });
  try {
    const page = await browser.newPage();
    await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }));
    await page.goto('http://localhost/');
    const adapter = await page.evaluate(async () => Boolean(await navigator.gpu?.requestAdapter()));
    expect(adapter).toBe(false);
  } finally {
    await browser.close();
  }
});
