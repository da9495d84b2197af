export { concatenateRows } from './concatenate-rows.ts';
export { dequantize } from './dequantize.ts';
export { gatedLinear, type LinearOptions, linear } from './linear.ts';
export { type MatmulOptions, matmul } from './matmul.ts';
export { quantizedTensor } from './quantized-tensor.ts';
export { type QuantizedOperand, quantizedOperand, type RightOperand } from './right-operand.ts';
export type { BroadcastSchedule, MatmulSchedule } from './schedules.ts';
