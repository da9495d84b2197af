import { ArgumentError, ShapeError } from '../errors.ts';
import { isQuantized } from '../tensor/dtype.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type FileTensor, readTensorFile, writeTensorFile } from '../tensor/tensor-file.ts';
import { Parameter } from './parameter.ts';
import { readEntries, writeEntry } from './tensor-entries.ts';

/** Which parameters: a name, or names that match. */
export type NamePattern = string | RegExp;

/** Whether a pattern means a name; a string means the name itself and everything below it. */
export function matchesName(pattern: NamePattern, name: string): boolean {
  if (typeof pattern === 'string') return name === pattern || name.startsWith(`${pattern}.`);
  return name.search(pattern) >= 0;
}

/**
 * A part of a model that owns parameters. They are its properties, and those of the modules and arrays of modules in its properties;
 * names are the paths, as in PyTorch: `layers.0.up_proj.weight`.
 */
export abstract class Module {
  #training = true;

  /** Whether layers behave as in training. What differs says so: batch norm uses the moments of its batch. */
  get training(): boolean {
    return this.#training;
  }

  /** Sets {@link training}, also of all modules below. */
  train(training = true): this {
    for (const module of this.modules().values()) module.#training = training;
    return this;
  }

  /** Sets {@link training} to false, also of all modules below. */
  eval(): this {
    return this.train(false);
  }

  /** All parameters by name, in the order of the properties. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>();
    collect(this, '', found);
    return found;
  }

  /** This module, by an empty name, and all modules in it by their paths. */
  modules(): Map<string, Module> {
    const found = new Map<string, Module>();
    collectModules(this, '', found);
    return found;
  }

  /** The tensors of all parameters by name. */
  stateDict(): Map<string, Tensor> {
    return new Map([...this.parameters()].map(([name, { tensor }]) => [name, tensor]));
  }

  /**
   * Excludes parameters from training: those that a pattern means, all without one.
   *
   * @throws ArgumentError for a pattern that means none
   */
  freeze(pattern?: NamePattern): this {
    for (const parameter of this.#select('freeze', pattern)) parameter.trainable = false;
    return this;
  }

  /** The opposite of {@link freeze}. @throws RefusedError for parameters that are not f32 */
  unfreeze(pattern?: NamePattern): this {
    for (const parameter of this.#select('unfreeze', pattern)) parameter.trainable = true;
    return this;
  }

  /**
   * All parameters as a safetensors file. One readback.
   *
   * @throws ShapeError for quantized parameters: their file is the one that they came from
   */
  async saveSafetensors(): Promise<Uint8Array> {
    for (const [name, { tensor }] of this.parameters()) {
      if (isQuantized(tensor.dtype))
        throw new ShapeError('saveSafetensors', `${name} is ${tensor.dtype}; allowed: plain dtypes.`);
    }
    const tensors = await readEntries(this.stateDict());
    return writeTensorFile({ tensors, note: '' });
  }

  /**
   * Fills the parameters from a safetensors file with the same names and shapes, converting dtypes. Nothing is changed where
   * a name or a shape does not fit.
   *
   * @throws ArgumentError for a file that is none, or for names that are missing or unknown; ShapeError for another shape
   */
  loadSafetensors(file: Uint8Array): void {
    const { tensors } = readTensorFile('loadSafetensors: file', file);
    const parameters = this.parameters();
    const missing = [...parameters.keys()].filter((name) => !tensors.has(name));
    const unknown = [...tensors.keys()].filter((name) => !parameters.has(name));
    if (missing.length > 0 || unknown.length > 0) {
      const given = `a file without ${missing.join(', ') || 'gaps'} and with ${unknown.join(', ') || 'nothing'} besides`;
      throw new ArgumentError('loadSafetensors: file', given, 'a tensor for each parameter');
    }
    for (const [name, { tensor }] of parameters) {
      const { shape, dtype } = tensors.get(name) as FileTensor;
      if (!sameShape(shape, tensor.shape) || isQuantized(tensor.dtype)) {
        throw new ShapeError(
          'loadSafetensors',
          `${name} is ${dtype}[${shape}] in the file, ${tensor.dtype}[${tensor.shape}] here.`,
        );
      }
    }
    for (const [name, { tensor }] of parameters) writeEntry(tensor, tensors.get(name) as FileTensor);
  }

  /** Frees all parameters. */
  dispose(): void {
    for (const parameter of this.parameters().values()) parameter.dispose();
  }

  #select(operation: string, pattern: NamePattern | undefined): Parameter[] {
    const all = [...this.parameters()];
    const meant = pattern === undefined ? all : all.filter(([name]) => matchesName(pattern, name));
    if (meant.length === 0)
      throw new ArgumentError(`${operation}: pattern`, String(pattern), all.map(([name]) => name).join(', '));
    return meant.map(([, parameter]) => parameter);
  }
}

function collect(value: unknown, path: string, found: Map<string, Parameter>): void {
  if (value instanceof Parameter) found.set(path, value);
  else for (const [name, item] of parts(value, path)) collect(item, name, found);
}

function collectModules(value: unknown, path: string, found: Map<string, Module>): void {
  if (value instanceof Module) found.set(path, value);
  for (const [name, item] of parts(value, path)) collectModules(item, name, found);
}

/** The properties of modules and the items of arrays, by their paths. */
function parts(value: unknown, path: string): [name: string, item: unknown][] {
  if (!(value instanceof Module || Array.isArray(value))) return [];
  return Object.entries(value).map(([name, item]) => [path === '' ? name : `${path}.${name}`, item]);
}
