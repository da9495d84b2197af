import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import type { Gpu } from '@saccade/core';
import type { TheoreticalRate } from './theoretical-rate.ts';

/** Elements of a vector that the adapter computes at a time. */
function vectorLanes(gpu: Gpu): number {
  const bits = /(\d+)[ -]?bits/.exec(`${gpu.adapter.description} ${gpu.adapter.device} ${gpu.adapter.architecture}`);
  return bits ? Number(bits[1]) / 32 : 4;
}

/**
 * f32 operations per second of the processor behind a software adapter: cores x clock x vector width x two multiply-add
 * units. Undefined for a GPU, and where the clock is unknown.
 */
export function theoreticalFma(gpu: Gpu): TheoreticalRate | undefined {
  if (!gpu.capabilities.software) return undefined;
  const megahertz = cpus()[0]?.speed || clockFromProc();
  if (!megahertz) return undefined;
  const cores = availableParallelism();
  const lanes = vectorLanes(gpu);
  return {
    value: cores * megahertz * 1e6 * lanes * 2 * 2,
    assumption: `${cores} cores x ${(megahertz / 1000).toFixed(2)} GHz x ${lanes} elements x 2 multiply-add units x 2 operations`,
  };
}

function clockFromProc(): number | undefined {
  try {
    const match = /cpu MHz\s*:\s*([\d.]+)/.exec(readFileSync('/proc/cpuinfo', 'utf8'));
    return match ? Number(match[1]) : undefined;
  } catch {
    return undefined;
  }
}
