import type { Tensor } from '@saccade/core';
import { outputGateRows, type TransformerConfig } from '../../weights/model-config.ts';
import { WeightFileError } from '../../weights/types.ts';
import type { LayerPart, OuterPart, WeightNames } from '../families/family.ts';
import type { MatrixLayout, RowOrder, WeightLoader } from '../weight-loader.ts';
import type { HeadWeights, LayerWeights, NormWeights, ProjectionWeights, TransformerWeights } from './weights.ts';

/** Loads the weights that a configuration asks for, under the names of its family. */
export async function loadTransformerWeights(
  loader: WeightLoader,
  config: TransformerConfig,
  names: WeightNames,
  onProgress: (share: number) => void,
): Promise<TransformerWeights> {
  const source = new PartSource(loader, config, names);
  const { hiddenSize, vocabularySize, positions, norm, contextLength } = config;
  const embedding = await source.table('embedding', vocabularySize);
  const learned = positions.kind === 'learned';
  const positionEmbedding = learned ? await source.table('positionEmbedding', contextLength) : undefined;
  const typed = learned && positions.tokenTypes > 0;
  const tokenTypeEmbedding = typed ? await source.table('tokenTypeEmbedding', positions.tokenTypes) : undefined;
  const outerNorm = await source.norm(
    source.outer(norm.placement === 'after' ? 'embeddingNorm' : 'finalNorm'),
    hiddenSize,
  );
  const layers: LayerWeights[] = [];
  for (let index = 0; index < config.layers; index++) {
    layers.push(await loadLayer(source, config, index));
    onProgress((index + 1) / (config.layers + 1));
  }
  const head = await loadHead(source, config, embedding);
  onProgress(1);
  return {
    embedding,
    ...(positionEmbedding ? { positionEmbedding } : {}),
    ...(tokenTypeEmbedding ? { tokenTypeEmbedding } : {}),
    ...(norm.placement === 'after' ? { embeddingNorm: outerNorm } : { finalNorm: outerNorm }),
    layers,
    ...(head ? { head } : {}),
  };
}

async function loadHead(
  source: PartSource,
  config: TransformerConfig,
  embedding: Tensor,
): Promise<HeadWeights | undefined> {
  const { hiddenSize, vocabularySize, headTransform, tieWordEmbeddings } = config;
  if (headTransform && !source.has('headTransform')) return undefined;
  const tied = tieWordEmbeddings || !source.has('head');
  const weight = tied ? embedding : await source.table('head', vocabularySize);
  if (!headTransform) return { projection: { weight } };
  return {
    transform: {
      projection: await source.projection(source.outer('headTransform'), hiddenSize, hiddenSize, true),
      norm: await source.norm(source.outer('headNorm'), hiddenSize),
    },
    projection: { weight, bias: await source.bias(source.outer('headBias'), vocabularySize) },
  };
}

async function loadLayer(source: PartSource, config: TransformerConfig, layer: number): Promise<LayerWeights> {
  const { hiddenSize, heads, headSize, intermediateSize, biases, norm, queryKeyNorm } = config;
  const name = (part: LayerPart) => source.inLayer(layer, part);
  const both = norm.placement === 'both';
  return {
    attentionNorm: await source.norm(name('attentionNorm'), hiddenSize),
    qkv: await loadQkv(source, config, layer),
    ...(queryKeyNorm
      ? {
          queryNorm: await source.norm(name('queryNorm'), headSize),
          keyNorm: await source.norm(name('keyNorm'), headSize),
        }
      : {}),
    output: await source.projection(name('output'), hiddenSize, heads * headSize, biases.output),
    ...(both ? { attentionPostNorm: await source.norm(name('attentionPostNorm'), hiddenSize) } : {}),
    mlpNorm: await source.norm(name('mlpNorm'), hiddenSize),
    gateUp: config.gatedMlp
      ? await source.projections(
          [name('gate'), name('up')],
          [intermediateSize, intermediateSize],
          hiddenSize,
          biases.mlp,
        )
      : [await source.projection(name('up'), intermediateSize, hiddenSize, biases.mlp)],
    down: await source.projection(name('down'), hiddenSize, intermediateSize, biases.mlp),
    ...(both ? { mlpPostNorm: await source.norm(name('mlpPostNorm'), hiddenSize) } : {}),
  };
}

/** Query, output gate, key and value projections, as far as there are such. */
async function loadQkv(source: PartSource, config: TransformerConfig, layer: number): Promise<ProjectionWeights[]> {
  const { hiddenSize, heads, kvHeads, headSize, biases, outputGate, storage } = config;
  const name = (part: LayerPart) => source.inLayer(layer, part);
  const [queryRows, kvRows, gateRows] = [heads * headSize, kvHeads * headSize, outputGateRows(config)];
  if (!outputGate) {
    const rows = [queryRows, kvRows, kvRows];
    return storage.qkv === 'separate'
      ? source.projections([name('query'), name('key'), name('value')], rows, hiddenSize, biases.qkv)
      : [await source.jointProjection(name('qkv'), rows, hiddenSize, biases.qkv)];
  }
  if (storage.outputGate === 'separate') {
    const names = [name('query'), name('outputGate'), name('key'), name('value')];
    return source.projections(names, [queryRows, gateRows, kvRows, kvRows], hiddenSize, biases.qkv);
  }
  const groups = storage.outputGate === 'perHead' ? heads : kvHeads;
  return [
    await source.alternatingProjection(
      name('query'),
      { parts: [queryRows / groups, gateRows / groups] },
      groups,
      hiddenSize,
      biases.qkv,
    ),
    ...(await source.projections([name('key'), name('value')], [kvRows, kvRows], hiddenSize, biases.qkv)),
  ];
}

/** Loads parts of a network by what they are. */
class PartSource {
  readonly #loader: WeightLoader;
  readonly #config: TransformerConfig;
  readonly #names: WeightNames;

  constructor(loader: WeightLoader, config: TransformerConfig, names: WeightNames) {
    this.#loader = loader;
    this.#config = config;
    this.#names = names;
  }

  outer(part: OuterPart): string {
    return this.#inFile(known(part, this.#names.outer[part]));
  }

  inLayer(layer: number, part: LayerPart): string {
    return this.#inFile(`${this.#names.layers}.${layer}.${known(part, this.#names.parts[part])}`);
  }

  has(part: OuterPart): boolean {
    return this.#loader.has(`${this.outer(part)}.weight`);
  }

  /** A matrix with one row of the hidden size per id. */
  table(part: OuterPart, rows: number): Promise<Tensor> {
    return this.#loader.matrix([`${this.outer(part)}.weight`], [rows], this.#config.hiddenSize);
  }

  async norm(name: string, size: number): Promise<NormWeights> {
    const { norm, storage } = this.#config;
    // The names of TensorFlow, in checkpoints that were converted long ago.
    const old = this.#loader.has(`${name}.gamma`);
    const weight = await this.#loader.vector([`${name}.${old ? 'gamma' : 'weight'}`], [size], storage.normOffset);
    if (norm.kind === 'rms') return { weight };
    return { weight, bias: await this.#loader.vector([`${name}.${old ? 'beta' : 'bias'}`], [size]) };
  }

  bias(name: string, size: number): Promise<Tensor> {
    return this.#loader.vector([`${name}.bias`], [size]);
  }

  async projection(name: string, rows: number, columns: number, biased: boolean): Promise<ProjectionWeights> {
    return this.#load([name], [rows], columns, biased, { transposed: this.#config.storage.transposed });
  }

  /** A matrix that holds the rows of several projections. */
  jointProjection(name: string, rows: readonly number[], columns: number, biased: boolean): Promise<ProjectionWeights> {
    const { qkv, transposed } = this.#config.storage;
    const total = rows.reduce((sum, count) => sum + count, 0);
    const rowOrder = { parts: rows.map(() => this.#config.headSize) };
    return this.#load([name], [total], columns, biased, {
      transposed,
      rowOrder: qkv === 'jointByHead' ? rowOrder : undefined,
    });
  }

  /** A matrix of so many groups, in each of which rows of several projections follow one another. */
  alternatingProjection(
    name: string,
    rowOrder: RowOrder,
    groups: number,
    columns: number,
    biased: boolean,
  ): Promise<ProjectionWeights> {
    const rows = groups * rowOrder.parts.reduce((sum, count) => sum + count, 0);
    return this.#load([name], [rows], columns, biased, { transposed: this.#config.storage.transposed, rowOrder });
  }

  /** Projections of one input: neighbours of one type as one matrix. */
  async projections(
    names: readonly string[],
    rows: readonly number[],
    columns: number,
    biased: boolean,
  ): Promise<ProjectionWeights[]> {
    const { transposed } = this.#config.storage;
    const types = names.map((name) => this.#loader.dtype(`${name}.weight`));
    const made: ProjectionWeights[] = [];
    for (let from = 0; from < names.length; ) {
      const differing = types.findIndex((type, index) => index > from && type !== types[from]);
      const end = differing < 0 ? names.length : differing;
      made.push(await this.#load(names.slice(from, end), rows.slice(from, end), columns, biased, { transposed }));
      from = end;
    }
    return made;
  }

  /** A name as the file has it: with the family's prefix or without. */
  #inFile(name: string): string {
    const { prefix, outer } = this.#names;
    if (!prefix || !name.startsWith(prefix) || this.#loader.has(`${outer.embedding}.weight`)) return name;
    return name.slice(prefix.length);
  }

  async #load(
    names: readonly string[],
    rows: readonly number[],
    columns: number,
    biased: boolean,
    layout: MatrixLayout,
  ): Promise<ProjectionWeights> {
    const named = (kind: string) => names.map((name) => `${name}.${kind}`);
    const weight = await this.#loader.matrix(named('weight'), rows, columns, layout);
    const rowOrder: RowOrder | undefined = layout.rowOrder;
    return biased ? { weight, bias: await this.#loader.vector(named('bias'), rows, 0, rowOrder) } : { weight };
  }
}

function known(part: string, name: string | undefined): string {
  if (name === undefined) throw new WeightFileError('unsupported', `The architecture has no name for its ${part}.`);
  return name;
}
