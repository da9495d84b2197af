import { Registry } from './registry.ts';

/** What this bench can run. A new scenario, method, baseline or model is one line here. */
export const catalog = new Registry({
  scenarios: [],
  methods: [],
  models: [],
});
