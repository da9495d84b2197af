import { ArgumentError, ShapeError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type Inspect, Tape, Tracked, type Value } from './tape.ts';

/** A tensor, or arrays and plain objects of tensors of any depth, with tracked values for tensors. */
export type TrackedTree<T> = T extends Tensor
  ? Tracked
  : T extends object
    ? { readonly [K in keyof T]: TrackedTree<T[K]> }
    : never;

/** The arguments of a function, tracked. */
export type TrackedArguments<A extends readonly unknown[]> = { [K in keyof A]: TrackedTree<A[K]> };

/** The value of a function and its gradients. The caller owns all tensors (in a scope: the scope does). */
export interface ValueAndGradients<A extends readonly unknown[]> {
  /** f32 [], what the function returned. */
  readonly value: Tensor;
  /** By argument, in its structure: f32 tensors in the shapes of the arguments. */
  readonly gradients: { readonly [K in keyof A]: GradientTree<A[K]> };
}

/** The same structure with the gradients of its tensors. */
export type GradientTree<T> = T extends Tensor
  ? Tensor
  : T extends object
    ? { readonly [K in keyof T]: GradientTree<T[K]> }
    : never;

/**
 * Runs `fn` and differentiates its result by every tensor in the arguments (reverse mode). `fn` records, as all ops do:
 * nothing waits. It uses the ops of this module, which take tracked values; tensors that it gets in any other way are
 * constants. What the backward pass needs lives until then, everything else is freed when `fn` returns.
 *
 * Gradients are sums in a fixed order: the same call gives the same bits. There are no second derivatives.
 *
 * ```ts
 * const { value, gradients } = valueAndGrad((w) => mean(square(subtract(matmul(x, w), y))), weight);
 * ```
 *
 * @param fn gives one f32 number that depends on the arguments
 * @param args f32 tensors, or arrays and plain objects of them
 * @throws ShapeError for arguments of another dtype, or where the result is not one f32 number; ArgumentError without
 *   arguments, or for a result that no argument leads to
 */
export function valueAndGrad<A extends readonly unknown[]>(
  fn: (...args: TrackedArguments<A>) => Value,
  ...args: A
): ValueAndGradients<A> {
  return differentiate(fn, args);
}

/** {@link valueAndGrad}, with somebody looking at every result. */
export function differentiate<A extends readonly unknown[]>(
  fn: (...args: TrackedArguments<A>) => Value,
  args: A,
  inspect?: Inspect,
): ValueAndGradients<A> {
  const leaves: Tensor[] = [];
  mapTree(args, (tensor) => leaves.push(tensor));
  const [first] = leaves;
  if (!first) throw new ArgumentError('valueAndGrad: args', args, 'at least one tensor');
  for (const { dtype, shape } of leaves) {
    if (dtype !== 'f32') throw new ShapeError('valueAndGrad', `an argument is ${dtype}[${shape}]; allowed: f32.`);
  }
  const { gpu } = first;
  return gpu.tidy(() => {
    const tape = new Tape(gpu, inspect);
    try {
      const variables: Tracked[] = [];
      const tracked = mapTree(args, (tensor) => {
        const variable = tape.track(tensor);
        variables.push(variable);
        return variable;
      });
      let result: Tracked | undefined;
      gpu.tidy(() => {
        result = checkResult(fn(...(tracked as never)), tape);
      });
      const value = (result as unknown as Tracked).tensor.reshape([]);
      tape.stop();
      const gradients = tape.gradients(result as unknown as Tracked, variables);
      let next = 0;
      return {
        value,
        gradients: mapTree(args, () => gradients[next++]) as ValueAndGradients<A>['gradients'],
      };
    } finally {
      tape.close();
    }
  });
}

function checkResult(result: Value, tape: Tape): Tracked {
  if (!(result instanceof Tracked)) {
    const given = result instanceof Tensor ? 'a tensor that no argument leads to' : result;
    throw new ArgumentError('valueAndGrad: result of fn', given, 'a tracked value');
  }
  if (result.tape !== tape) {
    throw new ArgumentError('valueAndGrad: result of fn', 'a value of another call', 'a value of this call');
  }
  if (result.size !== 1 || result.dtype !== 'f32') {
    throw new ShapeError(
      'valueAndGrad',
      `fn gave ${result.dtype}[${result.shape}]; it needs one f32 number (see sum, mean).`,
    );
  }
  return result;
}

/** The structure of `tree` with `each` of its tensors, which are visited in order. */
function mapTree(tree: unknown, each: (tensor: Tensor) => unknown): unknown {
  if (tree instanceof Tensor) return each(tree);
  if (Array.isArray(tree)) return tree.map((item: unknown) => mapTree(item, each));
  if (typeof tree === 'object' && tree !== null && Object.getPrototypeOf(tree) === Object.prototype) {
    return Object.fromEntries(Object.entries(tree).map(([name, item]) => [name, mapTree(item, each)]));
  }
  throw new ArgumentError('valueAndGrad: args', tree, 'tensors, arrays and plain objects of them');
}
