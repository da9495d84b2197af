export { assertClose, type Tolerance } from './assert-close.ts';
export { randomArray, randomIntegers, seededRandom } from './random-array.ts';
export { modestGpu, sharedGpu } from './shared-gpu.ts';
