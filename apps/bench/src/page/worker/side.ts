import type { ModelHandle } from '@saccade/core';
import type { Measured, Variant } from '../../scenario.ts';
import type { CompareRequest, Report } from '../protocol.ts';

/** One side of a comparison: the dense run, or a method. */
export interface Side<Model extends ModelHandle = ModelHandle> {
  readonly side: number;
  readonly variant: Variant;
  readonly model: Model;
  readonly request: CompareRequest;
  readonly signal: AbortSignal;
  readonly report: (report: Report, transfer?: Transferable[]) => void;
}

/** What a side gave: the fields of its row, and its result for the comparison of the others with it. */
export interface SideResult<Result> {
  readonly measured: Measured;
  readonly result: Result;
}
