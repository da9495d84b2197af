export {
  encodeOnnxModel,
  type OnnxConstant,
  type OnnxInput,
  type OnnxModel,
  type OnnxNode,
  type OnnxType,
} from './model.ts';
