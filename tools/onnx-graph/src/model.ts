import { bytesField, floatField, integerField, join, type Message } from './protocol-buffers.ts';

const elementTypes = { f32: 1, u8: 2, i32: 6, i64: 7 } as const;

export type OnnxType = keyof typeof elementTypes;

/** A value that the caller feeds. */
export interface OnnxInput {
  readonly type: OnnxType;
  readonly shape: readonly number[];
}

/** A value that the model holds. */
export interface OnnxConstant extends OnnxInput {
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

/** One operator: reads the named values (an empty name leaves an input out), writes values. */
export interface OnnxNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Such as `com.microsoft`; the standard operators have none. */
  readonly domain?: string;
  /** Whole numbers become integers; write floats as `{ float }`. */
  readonly attributes?: Readonly<Record<string, number | string | readonly number[] | { readonly float: number }>>;
}

export interface OnnxModel {
  readonly nodes: readonly OnnxNode[];
  readonly inputs?: Readonly<Record<string, OnnxInput>>;
  readonly constants?: Readonly<Record<string, OnnxConstant>>;
  /** Values that a run gives, with their types. */
  readonly outputs: Readonly<Record<string, OnnxType>>;
}

/** An ONNX file of the model (operator set 20, and version 1 of Microsoft's). */
export function encodeOnnxModel({ nodes, inputs = {}, constants = {}, outputs }: OnnxModel): Uint8Array {
  const graph = join([
    ...nodes.map((node) => bytesField(1, encodeNode(node))),
    bytesField(2, 'graph'),
    ...Object.entries(constants).map(([name, constant]) => bytesField(5, encodeConstant(name, constant))),
    ...Object.entries(inputs).map(([name, { type, shape }]) => bytesField(11, encodeValue(name, type, shape))),
    ...Object.entries(outputs).map(([name, type]) => bytesField(12, encodeValue(name, type))),
  ]);
  const operatorSet = (domain: string, version: number) => join([bytesField(1, domain), integerField(2, version)]);
  return join([
    integerField(1, 9),
    bytesField(7, graph),
    bytesField(8, operatorSet('', 20)),
    bytesField(8, operatorSet('com.microsoft', 1)),
  ]);
}

function encodeNode({ operator, inputs, outputs, domain, attributes = {} }: OnnxNode): Message {
  return join([
    ...inputs.map((name) => bytesField(1, name)),
    ...outputs.map((name) => bytesField(2, name)),
    bytesField(4, operator),
    ...Object.entries(attributes).map(([name, value]) => bytesField(5, encodeAttribute(name, value))),
    ...(domain === undefined ? [] : [bytesField(7, domain)]),
  ]);
}

function encodeAttribute(name: string, value: NonNullable<OnnxNode['attributes']>[string]): Message {
  const head = bytesField(1, name);
  if (typeof value === 'number') return join([head, integerField(3, value), integerField(20, 2)]);
  if (typeof value === 'string') return join([head, bytesField(4, value), integerField(20, 3)]);
  if ('float' in value) return join([head, floatField(2, value.float), integerField(20, 1)]);
  return join([head, ...value.map((each) => integerField(8, each)), integerField(20, 7)]);
}

function encodeConstant(name: string, { type, shape, bytes }: OnnxConstant): Message {
  return join([
    ...shape.map((size) => integerField(1, size)),
    integerField(2, elementTypes[type]),
    bytesField(8, name),
    bytesField(9, bytes),
  ]);
}

function encodeValue(name: string, type: OnnxType, shape?: readonly number[]): Message {
  const dimensions = shape ? [bytesField(2, join(shape.map((size) => bytesField(1, integerField(1, size)))))] : [];
  const tensorType = join([integerField(1, elementTypes[type]), ...dimensions]);
  return join([bytesField(1, name), bytesField(2, bytesField(1, tensorType))]);
}
