/**
 * Why a Node version is too old for the workspace, or undefined.
 *
 * @param {string} version `20.19.0`
 */
export function nodeRefusal(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const fits = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major >= 24;
  return fits
    ? undefined
    : `Node ${version} is too old or not a release that lasts: Saccade needs 20.19+, 22.12+ or 24+.`;
}
