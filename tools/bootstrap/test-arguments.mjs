/**
 * A package's tests are up to two Vitest projects, `<slug>` and `<slug>:gpu`; `--project <slug>` means both.
 *
 * @param {readonly string[]} args
 * @returns {string[]}
 */
export function testArguments(args) {
  return args.flatMap((argument, index) => {
    if (argument.startsWith('--project=')) return bothKinds(argument.slice('--project='.length));
    if (argument === '--project') return [];
    return args[index - 1] === '--project' ? bothKinds(argument) : [argument];
  });
}

/** @param {string} name */
function bothKinds(name) {
  const plain = /^[a-z0-9-]+$/.test(name);
  return plain ? [`--project=${name}`, `--project=${name}:gpu`] : [`--project=${name}`];
}
