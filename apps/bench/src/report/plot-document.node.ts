import { parseHTML } from 'linkedom';

/** A document to draw in. */
export function plotDocument(): Document {
  return parseHTML('<!doctype html><html><body></body></html>').document as unknown as Document;
}
