/** Functions that stay finite and accurate where WGSL's own may overflow or lose digits. */

/** Coefficients in t = 1 / (1 + z / 2) of erfc(z) exp(z^2) / t; a least-squares fit, relative error below 6e-8. */
const erfcCoefficients = [
  0.282081896, 0.282462267, 0.242415694, 0.205621538, -0.0340365206, 0.289468138, -0.497684855, 0.289869042,
  -0.0601972503,
];

/** erfc(z) exp(z^2) by Horner's rule. */
function scaledErfc(type: string): string {
  const [first, ...rest] = [...erfcCoefficients].reverse();
  const lines = rest.map((coefficient) => `  sum = sum * t + ${coefficient};`);
  return `  var sum = ${type}(${first});\n${lines.join('\n')}\n  return sum * t;`;
}

/**
 * Declares, for `f32` or `vec4<f32>`:
 * - `bounded_exp`: exp, at most the largest finite number;
 * - `stable_tanh`, `sigmoid`, `silu`: any finite argument;
 * - `exp_minus_one`: x of 0 or less; `softplus`, `hard_sigmoid`: any finite argument;
 * - `gelu`: x times the normal distribution function; `gelu_tanh`: its tanh approximation; `gelu_sigmoid`: its quick one.
 */
export function mathFunctions(type: 'f32' | 'vec4<f32>'): string {
  return `
fn bounded_exp(x: ${type}) -> ${type} {
  return exp(min(x, ${type}(88.72)));
}
fn stable_tanh(x: ${type}) -> ${type} {
  let decay = exp(-2.0 * abs(x));
  let far = sign(x) * (1.0 - decay) / (1.0 + decay);
  // Near 0 the difference cancels; the series does not.
  let square = min(x * x, ${type}(0.04));
  let near = x * (1.0 + square * (-0.33333334 + square * (0.13333334 + square * (-0.05396825 + square * 0.021869488))));
  return select(far, near, abs(x) < ${type}(0.2));
}
fn sigmoid(x: ${type}) -> ${type} {
  let decay = exp(-abs(x));
  return select(decay, ${type}(1.0), x >= ${type}(0.0)) / (1.0 + decay);
}
fn silu(x: ${type}) -> ${type} {
  return x * sigmoid(x);
}
fn exp_minus_one(x: ${type}) -> ${type} {
  // Near 0 the difference cancels; the series does not.
  let y = clamp(x, ${type}(-0.25), ${type}(0.0));
  let near = y * (1.0 + y * (0.5 + y * (0.16666667 + y * (0.041666668 + y * (0.008333334 + y * 0.0013888889)))));
  return select(exp(min(x, ${type}(0.0))) - 1.0, near, x > ${type}(-0.25));
}
fn softplus(x: ${type}) -> ${type} {
  let decay = exp(-abs(x));
  let near = decay * (1.0 - decay * (0.5 - decay * (0.33333334 - decay * (0.25 - decay * 0.2))));
  return max(x, ${type}(0.0)) + select(log(1.0 + decay), near, decay < ${type}(0.05));
}
fn hard_sigmoid(x: ${type}) -> ${type} {
  return clamp(x * 0.16666667 + 0.5, ${type}(0.0), ${type}(1.0));
}
fn scaled_erfc(z: ${type}) -> ${type} {
  let t = 1.0 / (1.0 + 0.5 * z);
${scaledErfc(type)}
}
fn gelu(x: ${type}) -> ${type} {
  // Beyond 14 the tail is below the smallest f32.
  let z = min(abs(x), ${type}(14.0));
  let tail = 0.5 * scaled_erfc(0.70710678 * z) * exp(-0.5 * z * z);
  return x * select(tail, 1.0 - tail, x >= ${type}(0.0));
}
fn gelu_tanh(x: ${type}) -> ${type} {
  // 0.5 (1 + tanh(u)) = sigmoid(2 u); bounded so that the cube cannot overflow.
  let bounded = clamp(x, ${type}(-20.0), ${type}(20.0));
  return x * sigmoid(1.5957691216 * (bounded + 0.044715 * bounded * bounded * bounded));
}
fn gelu_sigmoid(x: ${type}) -> ${type} {
  return x * sigmoid(1.702 * x);
}`;
}
