/** Loads the weights of a GGUF file on a GPU and prints what it took, as JSON: bytes of host memory at the peak, and of the GPU. */
import { existsSync, readFileSync } from 'node:fs';
import { openGpu } from '@saccade/core';
import { Transformer } from '../src/architectures/transformer/transformer.ts';
import { openFile } from '../src/resolve/node/open-file.ts';
import { ggufConfig } from '../src/weights/gguf/gguf-config.ts';
import { openGguf } from '../src/weights/gguf/gguf-file.ts';

const status = '/proc/self/status';
const [path = ''] = process.argv.slice(2);
const gpu = await openGpu();
const warm = gpu.zeros([16]);
await warm.read();
warm.dispose();
globalThis.gc?.();
const before = process.memoryUsage.rss();
const file = await openGguf(await openFile(path));
const network = await Transformer.load(gpu, path, ggufConfig(file), file);
await gpu.synchronize();
const peak = peakBytes();
const gpuBytes = gpu.stats().peakBytes;
// A software adapter's buffers are memory of the process.
const hostBytes = peak - before - (gpu.capabilities.software ? gpuBytes : 0);
process.stdout.write(JSON.stringify({ hostBytes, gpuBytes, weightBytes: network.weightBytes }));
network.dispose();
await file.close();

/** Most memory that this process has held. Linux's `maxRSS` will not do: it begins at the peak of the process that started this one. */
function peakBytes(): number {
  const [, kibibytes] = existsSync(status) ? (/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8')) ?? []) : [];
  return 1024 * (kibibytes === undefined ? process.resourceUsage().maxRSS : Number(kibibytes));
}
