/**
 * A package's tests are up to three Vitest projects, `<slug>`, `<slug>:gpu` and `<slug>:browser`; `--project <slug>` means all.
 *
 * @param {readonly string[]} args
 * @returns {string[]}
 */
export function testArguments(args) {
  return args.flatMap((argument, index) => {
    if (argument.startsWith('--project=')) return everyKind(argument.slice('--project='.length));
    if (argument === '--project') return [];
    return args[index - 1] === '--project' ? everyKind(argument) : [argument];
  });
}

/** @param {string} name */
function everyKind(name) {
  const plain = /^[a-z0-9-]+$/.test(name);
  return plain ? ['', ':gpu', ':browser'].map((kind) => `--project=${name}${kind}`) : [`--project=${name}`];
}
