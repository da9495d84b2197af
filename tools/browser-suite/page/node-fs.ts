/** Reads a file that stands beside the page's modules, whole and at once, as tests do with `node:fs`. */
export function readFileSync(url: URL): Uint8Array {
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  // One character per byte.
  request.overrideMimeType('text/plain; charset=x-user-defined');
  request.send();
  if (request.status !== 200) throw new Error(`${url} cannot be read: status ${request.status}`);
  return Uint8Array.from(request.responseText, (character) => character.charCodeAt(0) & 255);
}
