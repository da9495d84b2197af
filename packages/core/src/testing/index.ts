export { assertClose, type Tolerance } from './assert-close.ts';
export { randomArray, randomIntegers, seededRandom } from './random-array.ts';
export {
  binaryReference,
  elementwiseReference,
  erfcReference,
  unaryReference,
} from './reference/elementwise.ts';
export { broadcastReference, type HostTensor, transposeReference } from './reference/strided.ts';
export { modestGpu, sharedGpu } from './shared-gpu.ts';
