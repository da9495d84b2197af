export { assertClose, type Tolerance } from './assert-close.ts';
export { hardwareKernelsGpu } from './hardware-kernels-gpu.ts';
export { randomArray, randomIntegers, seededRandom } from './random-array.ts';
export {
  binaryReference,
  elementwiseReference,
  erfcReference,
  unaryReference,
} from './reference/elementwise.ts';
export { embeddingReference } from './reference/embedding.ts';
export { gatedActivationReference } from './reference/mlp.ts';
export { layerNormReference, rmsNormReference } from './reference/norm.ts';
export { ropeReference } from './reference/rope.ts';
export { argsortReference } from './reference/sort.ts';
export { broadcastReference, type HostTensor, transposeReference } from './reference/strided.ts';
export { topKReference } from './reference/top-k.ts';
export { modestGpu, sharedGpu } from './shared-gpu.ts';
export { crossEntropyReference } from './reference/cross-entropy.ts';
