import { type Method, topKeys } from '@saccade/core';

/** Selects in layer 0 of each decode step, and reads the selection in layer 1. */
export const handingOn: Method = {
  name: 'handing-on',
  options: {},
  phases: ['decode'],
  attend({ phase, layer, keyLength, indices }, call, next) {
    if (phase === 'prefill') return next();
    if (layer > 0) return next({ tokens: indices.get(layer) });
    indices.set(layer, topKeys(call.q, call.keys, { k: 4, keyLength, per: 'kvHead' }));
    return next();
  },
};
