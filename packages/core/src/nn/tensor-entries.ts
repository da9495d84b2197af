import { cast, copyInto } from '../ops/copy.ts';
import type { HostArray, PlainDtype } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type FileTensor, fileTensor } from '../tensor/tensor-file.ts';

/** Tensors of plain dtypes as a file has them. One readback. */
export async function readEntries(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, FileTensor>> {
  const [first] = tensors.values();
  const data = first ? await first.gpu.read([...tensors.values()]) : [];
  return new Map(
    [...tensors].map(([name, { dtype, shape }], index) => [
      name,
      fileTensor(data[index] as HostArray, dtype as PlainDtype, shape),
    ]),
  );
}

/** Writes a file's tensor of the same shape into `target`, in its dtype. */
export function writeEntry(target: Tensor, { bytes, shape, dtype }: FileTensor): void {
  target.gpu.tidy(() => {
    copyInto(target, cast(target.gpu.fromBytes(bytes, shape, dtype), target.dtype as PlainDtype));
  });
}
