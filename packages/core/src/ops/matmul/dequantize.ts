import { ArgumentError } from '../../errors.ts';
import { defineKernel } from '../../kernels/kernel.ts';
import { isQuantized, type QuantizedDtype, quantizedDtypes } from '../../tensor/dtype.ts';
import { quantizedLayout } from '../../tensor/quantized.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { pieceBuffer, requireWhole } from './operands.ts';
import { repeat } from './product.ts';
import { rightOperand } from './right-operand.ts';

const workgroupSize = 64;

const dequantizeKernel = defineKernel<{ readonly dtype: QuantizedDtype }>({
  name: 'dequantize',
  bindings: ({ dtype }, capabilities) => [
    ...rightOperand(dtype, capabilities).bindings,
    { name: 'out', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['inner', 'u32'],
    ['octets', 'u32'],
    ['first_octet', 'u32'],
    ['out_start', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: ({ dtype }, capabilities) => {
    const source = rightOperand(dtype, capabilities);
    return {
      main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.octets) { return; }
  let block = (params.first_octet + index) / ${source.octetsPerBlock}u;
  let octet = index % ${source.octetsPerBlock}u;
  ${source.openColumn('c', '0u')}
  ${source.openBlock('c', 'block')}
  ${source.openOctet('c', 'block', 'octet')}
  let position = params.out_start + index / ${source.octetsPerBlock}u * 32u + octet * ${source.octetStep}u;
  ${repeat(8, (element) => `out[position + ${source.position(element)}u] = ${source.value('c', element)};`)}`,
    };
  },
});

/**
 * The numbers of a quantized tensor as f32, equal to the last bit to what GGUF defines.
 *
 * @param tensor Of a quantized dtype and any shape; also one that is split over several buffers.
 * @returns f32 in the same shape (split as well where it is over the binding limit).
 * @throws ArgumentError for plain dtypes (see `cast`).
 * @throws ShapeError for a view of part of a quantized tensor.
 */
export function dequantize(tensor: Tensor): Tensor {
  const { gpu, dtype } = tensor;
  if (!isQuantized(dtype)) throw new ArgumentError('dequantize: tensor', dtype, quantizedDtypes.join(', '));
  requireWhole('dequantize', tensor);
  const rows = tensor.shape[0] as number;
  const { pieces } = tensor.storage;
  const out = gpu.empty(tensor.shape);
  if (tensor.size === 0) return out;
  const rowElements = tensor.size / rows;
  for (const target of out.storage.pieces) {
    for (const source of pieces) {
      const start = Math.max(source.rowStart, target.rowStart);
      const end = Math.min(source.rowStart + source.rows, target.rowStart + target.rows);
      if (start >= end) continue;
      const layout = quantizedLayout(dtype, source.rows * rowElements);
      const octets = ((end - start) * rowElements) / 8;
      gpu.launch(
        dequantizeKernel,
        { dtype },
        {
          bindings: [
            { buffer: source.buffer, offset: 0, bytes: layout.quantBytes },
            { buffer: source.buffer, offset: layout.scaleOffset, bytes: layout.scaleBytes },
            pieceBuffer(target),
          ],
          parameters: [
            rowElements,
            octets,
            ((start - source.rowStart) * rowElements) / 8,
            (start - target.rowStart) * rowElements,
          ],
          workgroups: Math.ceil(octets / workgroupSize),
          cost: { flops: 2 * octets * 8, bytes: layout.quantBytes + layout.scaleBytes + octets * 32 },
        },
      );
    }
  }
  return out;
}
