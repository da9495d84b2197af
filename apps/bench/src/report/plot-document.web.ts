/** A document to draw in. */
export function plotDocument(): Document {
  return document;
}
