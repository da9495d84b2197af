/** Gated attention in plain f64 loops: the definition that the GPU path is compared with. */
import type { GatedSizes } from './gate.ts';
import type { ResolvedGatedAttentionOptions } from './options.ts';

type Numbers = ArrayLike<number>;

/** Options, sizes and parameters of one layer; matrices [outputs, inputs], row after row. */
export interface ReferenceLayer extends ResolvedGatedAttentionOptions, GatedSizes {
  /** Queries and keys are normed per head. */
  readonly queryKeyNorm: boolean;
  readonly normEpsilon: number;
  /** By the layer's names: `q_proj.weight`, `gate_proj.weight`, `q_norm.weight`, ... */
  readonly parameters: Readonly<Record<string, Numbers>>;
  /** Base of the rotary frequencies; without it nothing rotates. */
  readonly ropeBase?: number;
}

/** A layer's output for one sequence. */
export interface ReferenceOutput {
  /** [N, E] */
  readonly output: Float64Array;
  /** Softmax probabilities, [H, N, N]. */
  readonly probabilities: Float64Array;
  /** The activated gate at every element of what it acts on, [N, heads, D]; empty where there is none. */
  readonly gate: Float64Array;
}

const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

/** Of gate logits. */
const activations: Readonly<Record<ResolvedGatedAttentionOptions['activation'], (z: number) => number>> = {
  sigmoid,
  silu: (z) => z * sigmoid(z),
  nsSigmoid: (z) => 0.5 + 0.5 * sigmoid(z),
  identity: (z) => z,
};

/** @param x [N, E], the normed input of one sequence */
export function gatedAttentionReference(layer: ReferenceLayer, x: Numbers): ReferenceOutput {
  const { hiddenSize: size, heads, kvHeads, headSize } = layer;
  const tokens = x.length / size;
  const gates: { values: Float64Array } = { values: new Float64Array(0) };
  const gated = (position: ReferenceLayer['position'], y: Float64Array, count: number, width: number) =>
    position === layer.position ? applied(layer, x, y, count, width, gates) : y;
  const project = (name: string, input: Numbers, inputs: number) => linear(layer, name, input, inputs);
  const normed = (name: string, y: Float64Array) => (layer.queryKeyNorm ? rmsNorm(layer, name, y, headSize) : y);

  const q = rotated(layer, gated('g4', normed('q_norm', project('q_proj', x, size)), heads, headSize), heads);
  const k = rotated(layer, gated('g3', normed('k_norm', project('k_proj', x, size)), kvHeads, headSize), kvHeads);
  const v = gated('g2', project('v_proj', x, size), kvHeads, headSize);

  const probabilities = new Float64Array(heads * tokens * tokens);
  const y = new Float64Array(tokens * heads * headSize);
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor((head * kvHeads) / heads);
    for (let query = 0; query < tokens; query++) {
      const scores = Array.from({ length: query + 1 }, (_, key) => {
        let dot = 0;
        for (let d = 0; d < headSize; d++) {
          dot += at(q, (query * heads + head) * headSize + d) * at(k, (key * kvHeads + kvHead) * headSize + d);
        }
        return dot / Math.sqrt(headSize);
      });
      const largest = Math.max(...scores);
      const total = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
      scores.forEach((score, key) => {
        const probability = Math.exp(score - largest) / total;
        probabilities[(head * tokens + query) * tokens + key] = probability;
        for (let d = 0; d < headSize; d++) {
          const to = (query * heads + head) * headSize + d;
          y[to] = at(y, to) + probability * at(v, (key * kvHeads + kvHead) * headSize + d);
        }
      });
    }
  }
  const attended = gated('g1', y, heads, headSize);
  const output = gated('g5', project('o_proj', attended, heads * headSize), 1, size);
  return { output, probabilities, gate: gates.values };
}

/** `y` [N, count, width] behind the gate. */
function applied(
  layer: ReferenceLayer,
  x: Numbers,
  y: Float64Array,
  count: number,
  width: number,
  gates: { values: Float64Array },
): Float64Array {
  const { source, headSpecific, mode, parameters } = layer;
  if (source === 'none') return y;
  if (source === 'norm') return rmsNorm(layer, 'gate_norm', y, width);
  const columns = layer.granularity === 'elementwise' ? width : 1;
  const projected = source === 'input' ? linear(layer, 'gate_proj', x, layer.hiddenSize) : undefined;
  const logit = (token: number, head: number, d: number): number => {
    if (source === 'self') return at(y, (token * count + head) * width + d);
    const own = head * columns + (columns === 1 ? 0 : d);
    return projected ? at(projected, token * count * columns + own) : at(parameters.gate_logits as Numbers, own);
  };
  gates.values = y.map((_, index) => {
    const [token, head, d] = [Math.floor(index / (count * width)), Math.floor(index / width) % count, index % width];
    if (headSpecific) return activations[layer.activation](logit(token, head, d));
    let sum = 0;
    for (let each = 0; each < count; each++) sum += logit(token, each, d);
    return activations[layer.activation](sum / count);
  });
  return y.map((value, index) =>
    mode === 'multiplicative' ? value * at(gates.values, index) : value + at(gates.values, index),
  );
}

function linear({ parameters }: ReferenceLayer, name: string, x: Numbers, inputs: number): Float64Array {
  const weight = parameters[`${name}.weight`] as Numbers;
  const outputs = weight.length / inputs;
  return Float64Array.from({ length: (x.length / inputs) * outputs }, (_, index) => {
    const [row, output] = [Math.floor(index / outputs), index % outputs];
    let sum = 0;
    for (let i = 0; i < inputs; i++) sum += at(x, row * inputs + i) * at(weight, output * inputs + i);
    return sum;
  });
}

function rmsNorm(
  { parameters, normEpsilon }: ReferenceLayer,
  name: string,
  y: Float64Array,
  width: number,
): Float64Array {
  const weight = parameters[`${name}.weight`] as Numbers;
  return y.map((value, index) => {
    const row = y.subarray(index - (index % width), index - (index % width) + width);
    const square = row.reduce((sum, each) => sum + each * each, 0) / width;
    return (value / Math.sqrt(square + normEpsilon)) * at(weight, index % width);
  });
}

/** Rotary positions 0, 1, ... of [N, count, D]: elements i and i + D / 2 turn together. */
function rotated({ headSize, ropeBase }: ReferenceLayer, y: Float64Array, count: number): Float64Array {
  if (ropeBase === undefined) return y;
  const half = headSize / 2;
  return y.map((value, index) => {
    const [token, d] = [Math.floor(index / (count * headSize)), index % headSize];
    const angle = token * ropeBase ** (-(d % half) / half);
    const partner = d < half ? -at(y, index + half) : at(y, index - half);
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

function at(values: Numbers, index: number): number {
  return values[index] as number;
}
