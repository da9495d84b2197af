import type { Tensor } from '@saccade/core';
import type { MethodEntry } from '../../method-entry.ts';
import { gnaKernel } from './gna-kernel.ts';
import type { GridWorkload } from './grid-workload.ts';
import { plainWindowKernel } from './plain-window-kernel.ts';
import { reTtentionStepKernel } from './re-ttention-step-kernel.ts';
import { sparsedStepKernel } from './sparsed-step-kernel.ts';

/** What `diffusion/attention` times: one way to do a layer's attention. */
export interface PreparedKernel {
  /** Records a call, with everything that each layer and step pays for; with a counter (u32 [1]) it counts the key rows that it loads. */
  run(keyRowCounter?: Tensor): void;
  dispose(): void;
}

/** A way to do attention over a grid of tokens. */
export interface GridKernel {
  /** Has `atBudget`, by the share of the keys that it shall read. */
  readonly entry: MethodEntry;
  /** Makes what is made once per layout, or once in several steps. */
  prepare(workload: GridWorkload, options: Readonly<Record<string, unknown>>): PreparedKernel;
}

/** All of them; another one is a file and a line here. */
export const gridKernels: readonly GridKernel[] = [
  gnaKernel,
  plainWindowKernel,
  sparsedStepKernel,
  reTtentionStepKernel,
];
